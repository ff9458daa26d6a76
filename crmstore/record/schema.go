package record

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
)

// Property is one named field of an object type.
type Property struct {
	Number   int          `json:"number"` // field number in record bytes and name of its column; never used again
	Name     string       `json:"name"`   // internal name, such as notes_last_updated
	Label    string       `json:"label"`  // for people, such as "Last Activity Date"
	Type     PropertyType `json:"type"`
	Options  []Option     `json:"options,omitempty"`   // of an Enumeration, in display order
	Exact    bool         `json:"exact,omitempty"`     // a String that has a column of hashes (`filter: exact`)
	Email    bool         `json:"email,omitempty"`     // a String of e-mail addresses: case does not count, and cells are those of [FoldAddress]
	ReadOnly bool         `json:"read_only,omitempty"` // set by the store alone, such as lastmodifieddate
	Counts   ObjectType   `json:"counts,omitempty"`    // its value is how many live records of this type the record is associated with; "" = what was written
	Removed  bool         `json:"removed,omitempty"`   // no longer offered; its number stays taken
	Note     string       `json:"note,omitempty"`      // one sentence for people

	Pending *Pending `json:"pending,omitempty"` // an import made it and no line of that import is in yet; nil = it is there to stay
}

// Pending marks a property that an import made, until the first of the import's lines is in. A property that was taken back keeps its
// mark, and has Removed beside it: so an import that was thought dead finds what it made.
type Pending struct {
	Import string    `json:"import"` // the import's own token
	Seen   time.Time `json:"seen"`   // the import's last sign of life, by the store's clock
}

// PendingPatience is how long an import of which no line is in may be silent. After that it is dead.
const PendingPatience = 30 * time.Second

// Alive reports whether the import may still bring in its first line. A sign of life that is far ahead of now is damage.
func (p *Pending) Alive(now time.Time) bool { return now.Sub(p.Seen).Abs() < PendingPatience }

// AwaitsLines reports whether the property is offered, and an import may still take it back.
func (p *Property) AwaitsLines() bool { return p.Pending != nil && !p.Removed }

// Option is one allowed value of an Enumeration.
type Option struct {
	Number  int    `json:"number"` // its cell; starts at 1, never used again
	Value   string `json:"value"`  // internal value, as expressions and CSV use it
	Label   string `json:"label"`
	Removed bool   `json:"removed,omitempty"`
}

// FirstProperty is the lowest property number; field numbers below it are the store's own.
const FirstProperty = 16

// Columnar reports whether the property has a column.
func (p *Property) Columnar() bool { return p.Type != String || p.Exact }

// Option finds an option by its internal value, removed ones too; nil when there is none.
func (p *Property) Option(value string) *Option {
	for i := range p.Options {
		if p.Options[i].Value == value {
			return &p.Options[i]
		}
	}
	return nil
}

// OptionNumber finds an option by its number; nil when there is none.
func (p *Property) OptionNumber(n int) *Option {
	if n >= 1 && n <= len(p.Options) && p.Options[n-1].Number == n {
		return &p.Options[n-1]
	}
	for i := range p.Options {
		if p.Options[i].Number == n {
			return &p.Options[i]
		}
	}
	return nil
}

// Cell is the column cell of v, 0 when v is unknown or the property has no column.
func (p *Property) Cell(v Value) uint64 {
	if !v.Known() || !p.Columnar() {
		return 0
	}
	switch p.Type {
	case Number:
		return NumberCell(v.Float())
	case Date, DateTime:
		return TimeCell(v.Milli())
	case Bool:
		return BoolCell(v.IsTrue())
	case Enumeration:
		if o := p.Option(v.Text()); o != nil {
			return OptionCell(o.Number)
		}
		return 0
	default:
		return p.textCell(v.Text())
	}
}

// textCell is the cell of a text.
func (p *Property) textCell(s string) uint64 {
	if p.Email {
		s = FoldAddress(s)
	}
	return HashCell(s)
}

// HoldsAddresses reports whether the property is a text of e-mail addresses, which are compared without regard to case,
// as [FoldAddress] has it. Schemas of older stores lack the mark Email; there the names tell.
func (p *Property) HoldsAddresses() bool {
	return p.Type == String && (p.Email || p.Name == "email" || p.Name == "work_email" || p.Name == "hs_additional_emails")
}

// Schema is the list of an object type's properties. A Schema is never changed in place.
type Schema struct {
	Object     ObjectType `json:"object"`
	Version    uint64     `json:"version"` // counts changes, for compare-and-set
	Properties []Property `json:"properties"`

	byNumber map[int]*Property
	byName   map[string]*Property
	byLabel  map[string][]*Property // label in lower case, and its snake case
}

// NewSchema indexes properties for look-up.
func NewSchema(object ObjectType, version uint64, properties []Property) *Schema {
	s := &Schema{Object: object, Version: version, Properties: properties}
	s.index()
	return s
}

func (s *Schema) index() {
	s.byNumber = make(map[int]*Property, len(s.Properties))
	s.byName = make(map[string]*Property, len(s.Properties))
	s.byLabel = make(map[string][]*Property, len(s.Properties))
	for i := range s.Properties {
		p := &s.Properties[i]
		s.byNumber[p.Number] = p
		if p.Removed {
			continue
		}
		s.byName[p.Name] = p
		label, snake := strings.ToLower(p.Label), SnakeCase(p.Label)
		s.byLabel[label] = append(s.byLabel[label], p)
		if snake != label {
			s.byLabel[snake] = append(s.byLabel[snake], p)
		}
	}
}

// Named is the property of that internal name; nil when there is none.
func (s *Schema) Named(name string) *Property { return s.byName[name] }

// Number finds a property by its number, removed ones too; nil when there is none.
func (s *Schema) Number(n int) *Property { return s.byNumber[n] }

// Find resolves a name as people write it: the internal name wins; else the label, as written (in
// any case) or in snake case. It returns all properties that fit: none, one, or several that share a label.
func (s *Schema) Find(name string) []*Property {
	name = strings.TrimSpace(name)
	if p := s.byName[name]; p != nil {
		return []*Property{p}
	}
	return s.byLabel[strings.ToLower(name)]
}

// Names lists the internal names of the properties that are not removed, in schema order.
func (s *Schema) Names() []string {
	names := make([]string, 0, len(s.Properties))
	for i := range s.Properties {
		if !s.Properties[i].Removed {
			names = append(names, s.Properties[i].Name)
		}
	}
	return names
}

// SnakeCase turns a label into a name: "Last Activity Date" becomes last_activity_date.
func SnakeCase(label string) string {
	var b strings.Builder
	gap := false
	for _, r := range strings.ToLower(strings.TrimSpace(label)) {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			if gap && b.Len() > 0 {
				b.WriteByte('_')
			}
			gap = false
			b.WriteRune(r)
			continue
		}
		gap = true
	}
	return b.String()
}

// Cause says who changed something and why; it goes into the record, the audit log, or both.
type Cause struct {
	Actor    string `json:"actor,omitempty"`    // the user, or "workflow" for a scheduled run
	Workflow string `json:"workflow,omitempty"` // name
	Revision int    `json:"revision,omitempty"`
	Run      string `json:"run,omitempty"`
	Reason   string `json:"reason,omitempty"` // such as "trigger 1", or what a person wrote
	From     string `json:"from,omitempty"`   // the process that did it, as user@host of its operating system; the store fills it in
}

// Deletion says when, by whom and why a record was archived.
type Deletion struct {
	At time.Time `json:"at"`
	Cause
}

// PropertyName is what an internal name of a property looks like.
var PropertyName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,99}$`)

// CheckNewProperty checks a property that somebody wants to add, and fills in an empty label.
func CheckNewProperty(p *Property) error {
	if !PropertyName.MatchString(p.Name) {
		return fmt.Errorf("property name %q: want a lower-case letter, then letters, digits and _, up to 100", p.Name)
	}
	if p.Label = strings.TrimSpace(p.Label); p.Label == "" {
		p.Label = p.Name
	}
	if err := CheckSeen("property label", p.Label); err != nil {
		return err
	}
	switch p.Type {
	case String, Number, Date, DateTime, Bool:
		if len(p.Options) > 0 {
			return fmt.Errorf("property %s: only an enumeration has options", p.Name)
		}
	case Enumeration:
		seen := make(map[string]bool, len(p.Options))
		for _, o := range p.Options {
			for _, text := range []string{o.Value, o.Label} {
				if err := CheckSeen("property "+p.Name+": option", text); err != nil {
					return err
				}
			}
			if o.Value == "" || seen[o.Value] {
				return fmt.Errorf("property %s: option %q is empty or given twice", p.Name, o.Value)
			}
			seen[o.Value] = true
		}
		if len(p.Options) == 0 {
			return fmt.Errorf("property %s: an enumeration needs options", p.Name)
		}
	default:
		return fmt.Errorf("property %s: type %q: want string, number, date, datetime, bool or enumeration", p.Name, p.Type)
	}
	if p.Exact && p.Type != String {
		return fmt.Errorf("property %s: exact is for strings; other types always have a column", p.Name)
	}
	return nil
}
