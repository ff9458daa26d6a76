package crmstore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Object is an object type with its words for people.
type Object struct {
	Name        record.ObjectType `json:"name"`
	Label       string            `json:"label"`        // such as "Service contract"
	PluralLabel string            `json:"plural_label"` // such as "Service contracts"
	Custom      bool              `json:"custom"`       // the account has defined it
}

// words are what people may call the object type, in lower case.
func (o *Object) words() []string {
	words := []string{string(o.Name), o.Name.Plural()}
	for _, label := range []string{o.Label, o.PluralLabel} {
		words = append(words, strings.ToLower(label), record.SnakeCase(label))
	}
	return words
}

// standardObjects are the definitions of the object types that every account has.
func standardObjects() []Object {
	var all []Object
	for _, o := range record.StandardObjects() {
		all = append(all, (&Object{Name: o}).withLabels())
	}
	return all
}

// withLabels is the definition with labels made from the name where it has none.
func (o *Object) withLabels() Object {
	full := *o
	full.Label = strings.TrimSpace(o.Label)
	if full.Label == "" {
		full.Label = titled(string(o.Name))
	}
	full.PluralLabel = strings.TrimSpace(o.PluralLabel)
	if full.PluralLabel == "" && o.Label != "" {
		full.PluralLabel = record.PluralOf(full.Label)
	} else if full.PluralLabel == "" {
		full.PluralLabel = titled(o.Name.Plural())
	}
	return full
}

// titled makes a label of a name: service_contract becomes "Service contract".
func titled(name string) string {
	words := strings.ReplaceAll(name, "_", " ")
	return strings.ToUpper(words[:1]) + words[1:]
}

// reservedNames cannot be the names of object types: expressions give them a meaning of their own, or a command does.
func reservedNames() []string {
	return []string{"all", "and", "contains", "else", "false", "if", "in", "let", "matches", "nil", "not", "now", "null", "or", "today", "true"}
}

// maxLabel is the longest label of an object type, in bytes.
const maxLabel = 200

// Objects lists the object types of the account: those that every account has, contacts first, then its own by name.
// It asks the store every time. ErrNoAccount. Every user of the account may.
func (s *Store) Objects(ctx context.Context) ([]Object, error) {
	if err := s.require(ctx, ""); err != nil {
		return nil, err
	}
	return s.objects(ctx)
}

func (s *Store) objects(ctx context.Context) ([]Object, error) {
	if _, err := s.Partitions(ctx); err != nil {
		return nil, err
	}
	fields, err := s.db.Redis.HGetAll(ctx, s.keyObjects()).Result()
	if err != nil {
		return nil, fmt.Errorf("read object types: %w", s.db.Explain(err))
	}
	var own []Object
	for name, text := range fields {
		o := Object{}
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			return nil, fmt.Errorf("read object type %s: %w", name, err)
		}
		o.Name, o.Custom = record.ObjectType(name), true
		own = append(own, o)
	}
	slices.SortFunc(own, func(a, b Object) int { return cmp.Compare(a.Name, b.Name) })
	return append(standardObjects(), own...), nil
}

// ObjectTypes is [Store.Objects], names only.
func (s *Store) ObjectTypes(ctx context.Context) ([]record.ObjectType, error) {
	if err := s.require(ctx, ""); err != nil {
		return nil, err
	}
	return s.objectTypes(ctx)
}

func (s *Store) objectTypes(ctx context.Context) ([]record.ObjectType, error) {
	all, err := s.objects(ctx)
	names := make([]record.ObjectType, len(all))
	for i := range all {
		names[i] = all[i].Name
	}
	return names, err
}

// UnknownObjectError says that the account has no such object type.
type UnknownObjectError struct {
	Word  string
	Known []Object
}

// Error names the word and the object types that there are.
func (e *UnknownObjectError) Error() string {
	names := make([]string, len(e.Known))
	for i := range e.Known {
		names[i] = string(e.Known[i].Name)
	}
	last := len(names) - 1
	return fmt.Sprintf("object type %q is not known; the account has %s and %s", e.Word, strings.Join(names[:last], ", "), names[last])
}

// Object finds an object type of the account by a word that people use for it: its name or its label, singular or
// plural, in any case. [*UnknownObjectError] when there is none. The names of those that every account has are known
// without asking the store.
func (s *Store) Object(ctx context.Context, word string) (Object, error) {
	if name, ok := record.StandardObject(word); ok {
		return (&Object{Name: name}).withLabels(), nil
	}
	all, err := s.Objects(ctx)
	if err != nil {
		return Object{}, err
	}
	want := strings.ToLower(strings.TrimSpace(word))
	for _, o := range all {
		if slices.Contains(o.words(), want) {
			return o, nil
		}
	}
	return Object{}, &UnknownObjectError{Word: word, Known: all}
}

var scriptAddObject = mustLuaScript("add_object")

// AddObject defines an object type of the account's own: records of it are kept, found, deleted and restored like those
// of the others. It gets the two dates that the store keeps, createdate and hs_lastmodifieddate, and the given
// properties. Empty labels are made from the name. ErrExists when a word for it means another object type. Audited. Needs super-admin.
func (s *Store) AddObject(ctx context.Context, o Object, properties []record.Property, c record.Cause, at time.Time) (Object, error) {
	if err := s.require(ctx, "", IsSuperAdmin); err != nil {
		return Object{}, err
	}
	if err := o.Check(); err != nil {
		return Object{}, err
	}
	o = o.withLabels()
	o.Custom = true
	all, err := s.objects(ctx)
	if err != nil {
		return Object{}, err
	}
	for _, other := range all {
		for _, word := range o.words() {
			if slices.Contains(other.words(), word) {
				return Object{}, fmt.Errorf("object type %s: the word %q means %s: %w", o.Name, word, other.Name, record.ErrExists)
			}
		}
	}
	list, err := withProperties(record.NewSchema(o.Name, 0, record.DefaultProperties(o.Name)), properties, nil)
	if err != nil {
		return Object{}, fmt.Errorf("add object type %s: %w", o.Name, err)
	}
	definition, err := json.Marshal(o)
	if err != nil {
		return Object{}, fmt.Errorf("add object type %s: %w", o.Name, err)
	}
	schema, err := json.Marshal(list)
	if err != nil {
		return Object{}, fmt.Errorf("add object type %s: %w", o.Name, err)
	}
	made, err := s.db.Run(ctx, scriptAddObject, []string{s.keyObjects(), s.keySchema(), s.keyAccountLog()},
		string(o.Name), definition, schema, s.wall(), record.AppendFacts(nil, at, s.by(c)), string(o.Name)+": "+o.Label)
	if err != nil {
		return Object{}, fmt.Errorf("add object type %s: %w", o.Name, err)
	}
	if made != int64(1) {
		return Object{}, fmt.Errorf("object type %s: %w", o.Name, record.ErrExists)
	}
	return o, nil
}

// Check says why an object type cannot be defined; nil when its name and labels are good.
func (o *Object) Check() error {
	switch {
	case !o.Name.WellFormed():
		return fmt.Errorf("object type %q: want a lower-case letter, then letters, digits and _, up to 64, such as machine", o.Name)
	case slices.Contains(reservedNames(), string(o.Name)):
		return fmt.Errorf("object type %q: the word has a meaning in expressions or commands", o.Name)
	case len(o.Label) > maxLabel || len(o.PluralLabel) > maxLabel:
		return fmt.Errorf("object type %s: a label has more than %d bytes", o.Name, maxLabel)
	case record.CheckSeen("", o.Label+o.PluralLabel) != nil:
		return fmt.Errorf("object type %s: %w", o.Name, record.CheckSeen("label", o.Label+o.PluralLabel))
	case strings.ContainsAny(o.Label+o.PluralLabel, "\n\r\t\x00"):
		return errors.New("object type " + string(o.Name) + ": a label is one line of text")
	}
	return nil
}
