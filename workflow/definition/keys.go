package definition

import (
	"slices"
	"strings"

	"github.com/crm-workflow/crm-workflow/actions"
	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// kind is what may stand behind a key of a workflow file.
type kind uint8

const (
	mappingKind     kind = iota // more keys
	textKind                    // words
	booleanKind                 // true or false
	wholeKind                   // a whole number
	decimalKind                 // a number, with a point if needed
	choiceKind                  // one of a few words
	expressionsKind             // a list of expressions
	namesKind                   // a list of words
)

// key declares one key of a workflow file: the decoder, the JSON Schema and the help of findings all
// read this one table.
type key struct {
	name     string
	kind     kind
	doc      string // for editors; one or two sentences
	required bool
	usual    any      // the default of a boolean, a number or a choice; nil when there is none
	choices  []string // of a choice; of names
	pattern  string   // of a text
	longest  int      // characters of a text; 0 = not limited here
	above    *float64 // a number is greater than this
	most     *float64 // a number is at most this
	keys     []key    // of a mapping
}

// namePattern is what a workflow may be called: it is part of keys, metrics and commands.
const namePattern = `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`

const (
	longestTitle       = 200
	longestDescription = 4000
	longestList        = 100 // also keeps a trigger's number within a byte
	mostDeletions      = 1e9
)

// fileKeys is the table of the whole file.
func fileKeys() []key {
	objects := make([]string, 0, len(record.StandardObjects()))
	for _, o := range record.StandardObjects() {
		objects = append(objects, string(o))
	}
	return []key{
		{
			name: "workflow", kind: textKind, required: true, pattern: namePattern,
			doc: "Name: a-z, 0-9 and -, unique in the account. It keeps its identity when the file changes.",
		},
		{name: "title", kind: textKind, longest: longestTitle, doc: "What people see, on one line."},
		{name: "description", kind: textKind, longest: longestDescription, doc: "What it is for and who asked for it."},
		{
			name: "object", kind: choiceKind, required: true, choices: objects,
			doc: "What enrolls. delete_contact works on contacts only.",
		},
		{name: "enroll", kind: mappingKind, required: true, doc: "Which records enroll.", keys: []key{
			{
				name: "triggers", kind: expressionsKind, required: true,
				doc: "A record enrolls when any of these expressions is true for it. Write true if everybody is meant.",
			},
			{name: "suppress", kind: expressionsKind, doc: "A record never enrolls while any of these expressions is true for it."},
			{
				name: "reenroll", kind: booleanKind, usual: false,
				doc: "Enroll a record again that was enrolled before. Without it, a contact that was restored is not deleted again.",
			},
			{
				name: "existing", kind: booleanKind, usual: true,
				doc: "Enroll records too that match already when the workflow is published.",
			},
		}},
		{name: "schedule", kind: mappingKind, doc: "When it runs. Without a schedule it runs only by hand.", keys: []key{
			{
				name: "cron", kind: textKind, required: true,
				doc: "Minute, hour, day, month, day of the week: \"0 3 * * *\" is every day at 03:00. Or @hourly, @daily, @weekly, @monthly, @yearly.",
			},
			{
				name: "timezone", kind: textKind, usual: "UTC",
				doc: "IANA name of the zone whose clock counts, for the schedule and for dates in expressions, such as Europe/Amsterdam.",
			},
			{
				name: "missed", kind: choiceKind, usual: string(MissedOnce), choices: []string{string(MissedOnce), string(MissedSkip)},
				doc: "What becomes of runs that passed while no daemon ran: catch up once, or skip.",
			},
		}},
		{name: "limits", kind: mappingKind, doc: "A run that would delete more is held until somebody approves it; and how fast it may delete.", keys: limitKeys()},
		{name: "actions", kind: namesKind, required: true, choices: actions.Names(), doc: actionsDoc()},
	}
}

// limitKeys is the table of limits.
func limitKeys() []key {
	zero, all, most, fastest := 0.0, 100.0, mostDeletions, float64(crmstore.MostPerSecond)
	return []key{
		{
			name: "max_deletions", kind: wholeKind, usual: DefaultMaxDeletions, above: &zero, most: &most,
			doc: "Records that one run may delete.",
		},
		{
			name: "max_percent", kind: decimalKind, usual: DefaultMaxPercent, above: &zero, most: &all,
			doc: "Percentage of the live records that one run may delete.",
		},
		{
			name: "max_per_second", kind: wholeKind, above: &zero, most: &fastest,
			doc: "Records per second that its runs may delete, on however many machines. Without it, as many as they can.",
		},
	}
}

func actionsDoc() string {
	var b strings.Builder
	b.WriteString("What is done with each enrolled record, in this order.")
	for _, s := range actions.Builtin() {
		b.WriteString(" " + s.Name + ": " + s.Summary)
	}
	return b.String()
}

// wants is how a finding says what may stand behind the key.
func (k key) wants() string {
	switch k.kind {
	case mappingKind:
		return "keys below it (" + strings.Join(keyNames(k.keys), ", ") + ")"
	case textKind:
		return "text"
	case booleanKind:
		return "true or false"
	case wholeKind:
		return "a whole number"
	case decimalKind:
		return "a number"
	case choiceKind:
		return "one of " + strings.Join(k.choices, ", ")
	case expressionsKind:
		return "a list of expressions"
	default:
		return "a list of names"
	}
}

func keyNames(keys []key) []string {
	list := make([]string, len(keys))
	for i, k := range keys {
		list[i] = k.name
	}
	return list
}

// parentOf is the key under which a key of that name stands, when there is exactly such a place.
func parentOf(name string) string {
	for _, k := range fileKeys() {
		if slices.Contains(keyNames(k.keys), name) {
			return k.name
		}
	}
	return ""
}
