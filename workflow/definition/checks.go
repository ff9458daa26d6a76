package definition

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/crm-workflow/crm-workflow/actions"
	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/spelling"
	"github.com/crm-workflow/crm-workflow/crmstore/unseen"
	"github.com/crm-workflow/crm-workflow/triggers/schedule"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// checkWords takes over name, title and description.
func (l *loader) checkWords() {
	if v, ok := l.values["workflow"]; ok {
		l.def.Name = v.text.Value
		if !nameForm.MatchString(v.text.Value) {
			l.add(About(v.text, diag.BadName, fmt.Sprintf("name %q is not made of a-z, 0-9 and -, with at most 63 characters", shown(v.text.Value)), nameHelp(v.text.Value)))
		}
	}
	l.def.Title, l.def.Description = l.def.Name, ""
	if v, ok := l.values["title"]; ok {
		l.def.Title = strings.TrimSpace(v.text.Value)
		l.checkText(v.text, "title", longestTitle, false)
	}
	if v, ok := l.values["description"]; ok {
		l.def.Description = strings.TrimSpace(v.text.Value)
		l.checkText(v.text, "description", longestDescription, true)
	}
}

// nameHelp is a name of the right form that is made of the same words.
func nameHelp(s string) string {
	words := strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	name := strings.Join(words, "-")
	if nameForm.MatchString(name) {
		return fmt.Sprintf("for example %q", name)
	}
	return `for example "delete-stale-leads"`
}

func (l *loader) checkText(t diag.Text, name string, longest int, lines bool) {
	if n := utf8.RuneCountInString(t.Value); n > longest {
		l.add(About(t, diag.BadText, fmt.Sprintf("%q has %d characters, more than %d", name, n, longest), ""))
		return
	}
	text := strings.TrimRight(t.Value, "\n")
	at, r, hidden := unseen.InProse(text)
	if i := strings.IndexAny(text, "\n\t"); !lines && i >= 0 && (!hidden || i < at) {
		at, r, hidden = i, rune(text[i]), true
	}
	switch {
	case hidden && r == '\n':
		l.add(t.Finding(diag.BadText, at, at+1, fmt.Sprintf("%q has more than one line", name), "put the rest into description"))
	case hidden:
		l.add(t.Finding(diag.BadText, at, at+utf8.RuneLen(r), fmt.Sprintf("%q holds the control character %U", name, r), "take it out"))
	}
}

// checkEnroll takes over enroll, except for the expressions.
func (l *loader) checkEnroll() {
	l.def.Reenroll = l.values["enroll.reenroll"].yes
	l.def.Existing = true
	if v, ok := l.values["enroll.existing"]; ok {
		l.def.Existing = v.yes
	}
	if v, ok := l.values["enroll.triggers"]; ok && v.empty {
		l.missing(v.key, "enroll.triggers", key{})
	}
	for _, path := range []string{"enroll.triggers", "enroll.suppress"} {
		seen := map[string]int{}
		for _, item := range l.values[path].items {
			source := strings.TrimSpace(item.Value)
			if line, twice := seen[source]; twice {
				l.add(About(item, diag.Repeated, fmt.Sprintf("the same expression as at line %d", line), "take one of them out"))
				continue
			}
			seen[source] = item.Pos(0).Line
		}
	}
}

// checkConstant warns of an expression that is true or false for everybody.
func (l *loader) checkConstant(path string, t diag.Text, always bool) {
	trigger := path == "enroll.triggers"
	switch {
	case trigger && always:
		l.add(About(t, diag.AlwaysTrue, "`true` enrolls everyone", "`workflow review` says how many that is"))
	case trigger:
		l.add(About(t, diag.NeverEnrolls, "this trigger enrolls nobody", "take it out"))
	case always:
		l.add(About(t, diag.NeverEnrolls, "everyone is suppressed: nobody enrolls", "to stop a workflow, switch it off with `workflow publish --off`"))
	default:
		l.add(About(t, diag.NeverEnrolls, "this suppresses nobody", "take it out"))
	}
}

// checkSchedule takes over the schedule.
func (l *loader) checkSchedule() {
	l.def.Missed = MissedOnce
	if v, ok := l.values["schedule.missed"]; ok {
		l.def.Missed = Missed(v.text.Value)
	}
	if _, written := l.values["schedule"]; !written {
		if !l.met["schedule"] {
			l.add(diag.Whole(diag.NoSchedule, l.source.File, "no schedule: it runs only by hand", "write\nschedule:\n  cron: \"0 3 * * *\""))
		}
		return
	}
	cron, zone := l.values["schedule.cron"], l.values["schedule.timezone"]
	if cron.text.Value == "" {
		// The zone is checked all the same, with a schedule that is right.
		cron.text = diag.NewText("", "@daily", nil)
	}
	parsed, findings := schedule.Parse(cron.text, zone.text)
	l.findings = append(l.findings, findings...)
	l.def.Schedule = parsed
}

// checkLimits takes over the limits.
func (l *loader) checkLimits() {
	l.def.Limits = Limits{MaxDeletions: DefaultMaxDeletions, MaxPercent: DefaultMaxPercent}
	if v, ok := l.values["limits.max_deletions"]; ok {
		l.def.Limits.MaxDeletions = int(min(v.number, mostDeletions))
		l.def.MaxDeletions = v.text
		switch {
		case v.number < 1:
			l.add(About(v.text, diag.BadMaxDeletions, fmt.Sprintf("max_deletions is %s; it is at least 1", shown(v.text.Value)), "to stop a workflow, switch it off with `workflow publish --off`"))
		case v.number > mostDeletions:
			l.add(About(v.text, diag.BadMaxDeletions, fmt.Sprintf("max_deletions is %s; it is at most 1,000,000,000", shown(v.text.Value)), ""))
		}
	}
	if v, ok := l.values["limits.max_percent"]; ok {
		l.def.Limits.MaxPercent = v.number
		switch {
		case v.number <= 0 || v.number > 100:
			l.add(About(v.text, diag.BadMaxPercent, fmt.Sprintf("max_percent is %s; it is over 0 and at most 100", shown(v.text.Value)), ""))
		case v.number == 100:
			l.add(About(v.text, diag.NoLimit, "at 100 percent, every record may be deleted in one run", "write the largest share that you expect"))
		}
	}
	if v, ok := l.values["limits.max_per_second"]; ok {
		l.def.Limits.MaxPerSecond = int(min(v.number, crmstore.MostPerSecond))
		switch {
		case v.number < 1:
			l.add(About(v.text, diag.BadMaxPerSecond, fmt.Sprintf("max_per_second is %s; it is at least 1", shown(v.text.Value)), "to delete as fast as it goes, leave the key out"))
		case v.number > crmstore.MostPerSecond:
			l.add(About(v.text, diag.BadMaxPerSecond, fmt.Sprintf("max_per_second is %s; it is at most 1,000,000", shown(v.text.Value)), ""))
		}
	}
}

// checkObject takes over the object type; "" when it is missing or wrong.
func (l *loader) checkObject() record.ObjectType {
	l.def.Object = record.ObjectType(l.values["object"].text.Value)
	return l.def.Object
}

// checkActions takes over the actions.
func (l *loader) checkActions(object record.ObjectType) {
	v, ok := l.values["actions"]
	if ok && v.empty {
		l.missing(v.key, "actions", key{})
	}
	seen := map[string]int{}
	for _, item := range v.items {
		line, twice := seen[item.Value]
		seen[item.Value] = item.Pos(0).Line
		spec, known := actions.Find(item.Value)
		switch {
		case !known:
			l.add(About(item, diag.UnknownAction, fmt.Sprintf("unknown action %q", shown(item.Value)), actionHelp(item.Value)))
		case twice:
			l.add(About(item, diag.RepeatedAction, fmt.Sprintf("action %q stands twice, first at line %d", item.Value, line), "take one of them out"))
		case object != "" && !spec.Allows(object):
			l.add(About(item, diag.WrongObject, fmt.Sprintf("%s does not work on %s: only contacts can be deleted by a workflow", item.Value, object.Plural()),
				fmt.Sprintf("write `object: %s`, or delete %s by hand", spec.Objects[0], object.Plural())))
		}
		l.def.Actions = append(l.def.Actions, Step{Spec: spec, Pos: item.Pos(0)})
	}
}

// actionHelp guesses which action was meant. Deleting another object is not a misspelt delete_contact.
func actionHelp(name string) string {
	for _, o := range record.StandardObjects() {
		if o != record.Contact && slices.ContainsFunc([]string{string(o), o.Plural()}, func(s string) bool { return strings.Contains(strings.ToLower(name), s) }) {
			return "only contacts can be deleted by a workflow, with delete_contact"
		}
	}
	if len(name) <= 2*longestKey {
		if near := spelling.Nearest(strings.ReplaceAll(name, "-", "_"), actions.Names()); near != "" {
			return fmt.Sprintf("did you mean %q?", near)
		}
	}
	return "known actions are " + strings.Join(actions.Names(), ", ")
}
