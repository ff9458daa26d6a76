package csvfile

import (
	"bytes"
	_ "embed" // for the tables of sources
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Source is a program whose exports an import knows. Headers under Columns match in any case, with or without blanks, underscores
// and hyphens.
type Source struct {
	Name  string `json:"name"`  // such as hubspot, as a flag has it
	Title string `json:"title"` // for people

	Recognise [][]string `json:"recognise"` // a file is such an export when all headers of one line stand in it
	Trailer   bool       `json:"trailer"`   // after an empty line, lines of one cell may say what the file is
	Columns   []Rule     `json:"columns"`
}

// Rule says what an import makes of one column of an export.
type Rule struct {
	Header  []string            `json:"header"`  // the forms that it has; # stands for a number
	Objects []record.ObjectType `json:"objects"` // of which object types; none = all
	To      string              `json:"to"`      // name of the property
	Label   string              `json:"label"`   // of the property, where it is to be made; "" = the header
	Type    record.PropertyType `json:"type"`    // of the property, where it is to be made; "" = guessed
	Note    string              `json:"note"`    // for people

	ID         bool              `json:"id"`         // the column holds record ids of this account
	Key        bool              `json:"key"`        // the column says which record a line is about
	Keep       bool              `json:"keep"`       // the property is named after the source and the header
	Deleted    bool              `json:"deleted"`    // yes means that the record was deleted there, and the line is left out
	Associates record.ObjectType `json:"associates"` // the cell holds ids of records of that type, with ; between them
	Empty      []string          `json:"empty"`      // cells that say nothing
	Words      map[string]string `json:"words"`      // in lower case → what they mean here
	Sets       map[string]string `json:"sets"`       // property → value, where the cell says anything
	Split      string            `json:"split"`      // stands between several values, of which To takes the first
	Rest       string            `json:"rest"`       // name of the property that takes the others
	RestLabel  string            `json:"rest_label"`
}

//go:embed sources.json
var sourcesText []byte

// readSources reads the tables once.
var readSources = sync.OnceValue(func() []Source {
	var all []Source
	decoder := json.NewDecoder(bytes.NewReader(sourcesText))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&all); err != nil {
		panic(fmt.Sprintf("sources.json: %v", err)) // a test reads it
	}
	return all
})

// Sources are the programs whose exports an import knows, in the order in which they are tried.
func Sources() []Source { return slices.Clone(readSources()) }

// NoSource takes a file for no export of any program.
const NoSource = "none"

// SourceNames are the names that [Options.Source] can have.
func SourceNames() []string {
	names := make([]string, 0, 8)
	for _, s := range readSources() {
		names = append(names, s.Name)
	}
	return append(names, NoSource)
}

// findSource is the source of that name, or the one that the headers show when no name is given; nil when there is none.
func findSource(name string, headers []string) *Source {
	all := readSources()
	for i := range all {
		if name == all[i].Name || name == "" && all[i].recognises(headers) {
			return &all[i]
		}
	}
	return nil
}

// recognises reports whether all headers of one line stand in the file, as written or in capitals: tools of some
// programs write them so.
func (s *Source) recognises(headers []string) bool {
	there := make(map[string]bool, len(headers))
	for _, h := range headers {
		there[h] = true
	}
	return slices.ContainsFunc(s.Recognise, func(line []string) bool {
		return !slices.ContainsFunc(line, func(h string) bool { return !there[h] && !there[strings.ToUpper(h)] })
	})
}

// rule finds what a header means; nil when the source does not know it.
func (s *Source) rule(header string, object record.ObjectType) *Rule {
	key := squash(header)
	if s == nil || key == "" {
		return nil
	}
	for i := range s.Columns {
		r := &s.Columns[i]
		if len(r.Objects) > 0 && !slices.Contains(r.Objects, object) || r.Associates == object {
			continue
		}
		for _, form := range r.Header {
			if fitsForm(form, key) {
				return r
			}
		}
	}
	return nil
}

var digits = regexp.MustCompile(`^[0-9]+`)

// fitsForm compares a squashed header with one form of it.
func fitsForm(form, key string) bool {
	before, after, numbered := strings.Cut(form, "#")
	if !numbered {
		return squash(form) == key
	}
	rest, ok := strings.CutPrefix(key, squash(before))
	number := digits.FindString(rest)
	return ok && number != "" && rest[len(number):] == squash(after)
}

// property is what the rule makes of a header where the account has no such property.
func (r *Rule) property(s *Source, header string) record.Property {
	p := record.Property{Name: r.To, Label: r.Label, Type: r.Type}
	if r.Keep || p.Name == "" {
		p = s.kept(header)
		p.Type = r.Type
	}
	if p.Label == "" {
		p.Label = header
	}
	return p
}

// kept is a property of the source's own for a header, with its type still to be guessed.
func (s *Source) kept(header string) record.Property {
	return record.Property{Name: s.Name + "_" + nameOf(header), Label: s.Title + " " + header}
}

// part says what of a cell a column takes.
type part struct {
	constant string // what the column has where the cell says anything; "" = the cell
	split    string // stands between several values; "" = there is one
	rest     bool   // all but the first value
	empty    []string
	words    map[string]string
}

// of is what the column takes of a cell.
func (p *part) of(cell string) string {
	if p == nil {
		return cell
	}
	trimmed := strings.TrimSpace(cell)
	switch {
	case trimmed == "" || slices.Contains(p.empty, trimmed):
		return ""
	case p.constant != "":
		return p.constant
	case p.split != "":
		first, others, _ := strings.Cut(trimmed, p.split)
		if !p.rest {
			return strings.TrimSpace(first)
		}
		values := strings.Split(others, p.split)
		for i := range values {
			values[i] = strings.TrimSpace(values[i])
		}
		return strings.Join(values, "; ")
	}
	if word, ok := p.words[strings.ToLower(trimmed)]; ok {
		return word
	}
	return cell
}
