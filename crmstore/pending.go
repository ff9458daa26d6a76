package crmstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// An import makes properties before its first line goes in, and a process can be killed in between. So what an import made is
// marked ([record.Pending]) until a line is in. A mark whose import is silent for too long is settled by the next import, or by
// doctor: the property goes when nothing uses it, and else stays for good. No other process knows for certain that an import is dead.
// One that was only frozen gets its property back with the first value that it writes.

// AddForImport is AddProperties for an import of which no line is in yet. The properties carry the mark of the import, named by a token
// of its own, until KeepProperties, or the first value that any caller writes, takes the mark off.
func (s *Store) AddForImport(ctx context.Context, o record.ObjectType, add []record.Property, token string, c record.Cause, at time.Time) (*record.Schema, error) {
	if err := s.require(ctx, o, CanEdit); err != nil {
		return nil, err
	}
	return s.addProperties(ctx, o, add, &record.Pending{Import: token, Seen: s.Now().UTC()}, c, at)
}

// RenewProperties is a sign of life of the import that made properties. Without one for [record.PendingPatience], others take the
// properties back; then it gets them again, with an audit event. ErrExists when a name has been given to a later property.
func (s *Store) RenewProperties(ctx context.Context, o record.ObjectType, token string, c record.Cause, at time.Time) error {
	if err := s.require(ctx, o, CanEdit); err != nil {
		return err
	}
	mark := &record.Pending{Import: token, Seen: s.Now().UTC()}
	return s.mark(ctx, o, mark, func(p *record.Property) bool { return p.Pending.Import == token }, c, at)
}

// KeepProperties takes the marks of an import off: its properties stay, since a line is in. One that another process took
// back meanwhile is offered again, with an audit event; ErrExists when its name has been given to a later property.
func (s *Store) KeepProperties(ctx context.Context, o record.ObjectType, token string, c record.Cause, at time.Time) error {
	if err := s.require(ctx, o, CanEdit); err != nil {
		return err
	}
	return s.mark(ctx, o, nil, func(p *record.Property) bool { return p.Pending.Import == token }, c, at)
}

// mark gives properties that have a mark another one (nil: none), and offers those again that were taken back.
func (s *Store) mark(ctx context.Context, o record.ObjectType, mark *record.Pending, which func(*record.Property) bool, c record.Cause, at time.Time) error {
	old, err := s.schema(ctx, o)
	if err != nil {
		return err
	}
	change := schemaChange{object: o, cause: c, at: at}
	for range schemaTries {
		var back []string
		for i := range old.Properties {
			if p := &old.Properties[i]; p.Removed && p.Pending != nil && which(p) {
				back = append(back, p.Name)
			}
		}
		if change.op = ""; len(back) > 0 {
			change.op, change.detail = "add-property", string(o)+": "+strings.Join(back, ", ")
		}
		version := old.Version
		change.apply = func(now *record.Schema) ([]record.Property, error) {
			if now.Version != version {
				old = now
				return nil, record.ErrConflict
			}
			for _, name := range back {
				if now.Named(name) != nil {
					return nil, fmt.Errorf("property %s, which was taken back while its import stood still, was made anew; import the file again: %w", name, record.ErrExists)
				}
			}
			return changed(now, func(p *record.Property) bool {
				if p.Pending == nil || !which(p) {
					return false
				}
				p.Pending, p.Removed = mark, false
				return true
			})
		}
		if _, err = s.changeSchema(ctx, change); !errors.Is(err, record.ErrConflict) {
			return err
		}
	}
	return err
}

// changed is the properties with those changed for which change says so; errUnchanged when it is none.
func changed(old *record.Schema, change func(*record.Property) bool) ([]record.Property, error) {
	properties, some := slices.Clone(old.Properties), false
	for i := range properties {
		some = change(&properties[i]) || some
	}
	if !some {
		return nil, errUnchanged
	}
	return properties, nil
}

// TakeBackProperties removes the properties that an import made with AddForImport and of which no line is in. One that a record, a
// workflow or an active list uses meanwhile stays. It returns the names of those that it removed.
func (s *Store) TakeBackProperties(ctx context.Context, o record.ObjectType, token string, c record.Cause, at time.Time) ([]string, error) {
	if err := s.require(ctx, o, CanEdit); err != nil {
		return nil, err
	}
	return s.settlePending(ctx, o, func(p *record.Property) bool { return p.Pending.Import == token }, c, at)
}

// SweepProperties removes the properties that imports left behind which were killed before a line was in; those that something uses
// stay for good. It returns the names of those that it removed. Without such properties it costs reading the schema's version.
func (s *Store) SweepProperties(ctx context.Context, o record.ObjectType, c record.Cause, at time.Time) ([]string, error) {
	if err := s.require(ctx, o, CanEdit); err != nil {
		return nil, err
	}
	return s.settlePending(ctx, o, s.abandoned, c, at)
}

// LeftBehind names the properties that SweepProperties would remove.
func (s *Store) LeftBehind(ctx context.Context, o record.ObjectType) ([]string, error) {
	if err := s.require(ctx, ""); err != nil {
		return nil, err
	}
	schema, err := s.schema(ctx, o)
	if err != nil {
		return nil, err
	}
	left, err := s.unused(ctx, schema, s.abandoned)
	return namesOf(left), err
}

// abandoned reports whether the import that made the property is dead.
func (s *Store) abandoned(p *record.Property) bool { return !p.Pending.Alive(s.Now()) }

func namesOf(properties []*record.Property) []string {
	names := make([]string, len(properties))
	for i, p := range properties {
		names[i] = p.Name
	}
	return names
}

// settlePending takes some of the properties that await lines back when nothing uses them, and ends the marks of the others.
func (s *Store) settlePending(ctx context.Context, o record.ObjectType, which func(*record.Property) bool, c record.Cause, at time.Time) (names []string, err error) {
	for range schemaTries {
		schema, err := s.schema(ctx, o)
		if err != nil {
			return nil, err
		}
		left, err := s.unused(ctx, schema, which)
		if err != nil {
			return nil, err
		}
		names = namesOf(left)
		settle := schemaChange{object: o, cause: c, at: at}
		if len(names) > 0 {
			settle.op, settle.detail = "remove-property", string(o)+": "+strings.Join(names, ", ")
		}
		settle.apply = func(now *record.Schema) ([]record.Property, error) {
			if now.Version != schema.Version {
				return nil, record.ErrConflict // what was found out may be so no more
			}
			return changed(now, func(p *record.Property) bool {
				if !p.AwaitsLines() || !which(p) {
					return false
				}
				if slices.ContainsFunc(left, func(l *record.Property) bool { return l.Number == p.Number }) {
					p.Removed = true // the mark stays, for an import that is not dead after all
				} else {
					p.Pending = nil
				}
				return true
			})
		}
		if _, err = s.changeSchema(ctx, settle); !errors.Is(err, record.ErrConflict) {
			return names, err
		}
	}
	return nil, fmt.Errorf("take back properties of %s: %w", o, record.ErrConflict)
}

// unused are those of the properties that await lines which no record, live or in the bin, has a value of, and no workflow or active list
// speaks of. A record that cannot be read may have a value of each.
func (s *Store) unused(ctx context.Context, schema *record.Schema, which func(*record.Property) bool) ([]*record.Property, error) {
	var left []*record.Property
	for i := range schema.Properties {
		if p := &schema.Properties[i]; p.AwaitsLines() && which(p) {
			left = append(left, p)
		}
	}
	if len(left) == 0 {
		return nil, nil
	}
	texts, err := s.expressions(ctx, schema.Object)
	if err != nil {
		return nil, err
	}
	left = slices.DeleteFunc(left, func(p *record.Property) bool { return mentions(texts, p) })
	partitions, err := s.Partitions(ctx)
	if err != nil || len(left) == 0 {
		return left, err
	}
	err = s.eachWhole(ctx, schema.Object, 0, partitions, func(p int, w whole) error {
		recs, good := w.parse(schema)
		if !good {
			var sick []record.ID
			var err error
			if recs, sick, err = s.readNamed(ctx, schema, p); err != nil {
				return err
			}
			if len(sick) > 0 {
				left = nil
			}
		}
		for _, r := range recs {
			left = slices.DeleteFunc(left, func(p *record.Property) bool { return r.Value(p.Number).Known() })
		}
		return nil
	})
	return left, err
}

// expressions are the texts that may speak of properties of an object type: current revisions of workflows, and active lists.
func (s *Store) expressions(ctx context.Context, o record.ObjectType) ([]string, error) {
	lists, err := s.lists(ctx, o)
	if err != nil {
		return nil, err
	}
	var texts []string
	for _, l := range lists {
		texts = append(texts, l.Where)
	}
	workflows, err := s.Workflows(ctx)
	if err != nil {
		return nil, err
	}
	for _, w := range workflows {
		rev, err := s.Revision(ctx, w.Name, w.Revision)
		if err != nil && !errors.Is(err, record.ErrNotFound) {
			return nil, err
		}
		texts = append(texts, string(rev.Source))
	}
	return texts, nil
}

// mentions reports whether a text has the property's name, or its label in snake case, as a word. A word in a comment counts too: better
// one property too many stays.
func mentions(texts []string, p *record.Property) bool {
	names := []string{p.Name, record.SnakeCase(p.Label)}
	return slices.ContainsFunc(texts, func(text string) bool {
		words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		return slices.ContainsFunc(words, func(word string) bool { return slices.Contains(names, word) })
	})
}

// keepUsed takes the marks off properties of the schema that the batch was written with, and that it gave values.
func (w *writer) keepUsed(ctx context.Context) error {
	var used []int
	for i := range w.schema.Properties {
		p := &w.schema.Properties[i]
		if !p.AwaitsLines() {
			continue
		}
		for j := range w.batch {
			if w.results[j].Outcome != Refused && w.batch[j].Assigns(p) {
				used = append(used, p.Number)
				break
			}
		}
	}
	if len(used) == 0 {
		return nil
	}
	return w.store.mark(ctx, w.object, nil, func(p *record.Property) bool { return slices.Contains(used, p.Number) }, w.cause, w.at)
}

// examinePending finds properties that killed imports left behind, and takes them back.
func (d *doctor) examinePending(ctx context.Context) error {
	left, err := d.store.unused(ctx, d.schema, d.store.abandoned)
	if err == nil && d.repair {
		at := d.order.At
		if at.IsZero() {
			at = d.store.Now()
		}
		_, err = d.store.settlePending(ctx, d.object, d.store.abandoned, d.order.Cause, at)
	}
	for _, p := range left {
		if err == nil {
			err = d.report(Problem{
				Code: problemProperty, Repaired: d.repair,
				Detail: fmt.Sprintf("an import that was killed before its first line made property %s, and nothing uses it", p.Name),
			})
		}
	}
	return err
}
