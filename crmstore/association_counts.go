package crmstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// A number property that is called num_associated_ and the plural of an object type, such as num_associated_deals, counts the
// live records of that type that a record is associated with. Before the account's first association of the two types it is
// what was imported. From then on the schema says that it counts: nothing writes it, and it is counted when it is read, since a
// stored number would be wrong as soon as one of the others is deleted or restored in its own partition.

// countedName is the name of the property that counts associations with an object type.
func countedName(other record.ObjectType) string { return "num_associated_" + other.Plural() }

// countPairs has the properties count that speak of such associations as the pairs are. It comes before the first of them is
// made, so that no property says 0 beside 1.
func (s *Store) countPairs(ctx context.Context, pairs []Pair, c record.Cause, at time.Time) error {
	type kind struct{ own, other record.ObjectType }
	seen := map[kind]bool{}
	for i := range pairs {
		a, b := pairs[i].A.Object, pairs[i].B.Object
		for _, k := range []kind{{a, b}, {b, a}} {
			if seen[k] {
				continue
			}
			seen[k] = true
			if err := s.countFrom(ctx, k.own, k.other, c, at); err != nil {
				return fmt.Errorf("have %s of %s counted: %w", countedName(k.other), k.own.Plural(), err)
			}
		}
	}
	return nil
}

// stillWritten is the property of own that is to count associations with other, and does not yet; nil = there is none.
func stillWritten(schema *record.Schema, other record.ObjectType) *record.Property {
	for i := range schema.Properties {
		if p := &schema.Properties[i]; p.Name == countedName(other) && p.Type == record.Number && !p.Removed && p.Counts == "" {
			return p
		}
	}
	return nil
}

func (s *Store) countFrom(ctx context.Context, own, other record.ObjectType, c record.Cause, at time.Time) error {
	schema, err := s.schema(ctx, own)
	if err != nil || stillWritten(schema, other) == nil {
		return err
	}
	_, err = s.changeSchema(ctx, schemaChange{
		object: own, op: "count-property", detail: fmt.Sprintf("%s: %s counts associations with %s", own, countedName(other), other.Plural()), cause: c, at: at,
		apply: func(old *record.Schema) ([]record.Property, error) {
			properties, p, err := withOwnCopy(old, countedName(other))
			if err != nil {
				return nil, err
			}
			p.Counts, p.ReadOnly = other, true
			return properties, nil
		},
	})
	return err
}

// FillCounts gives the properties of records that count associations their values. What the acting user may not view stays unknown.
// Records that are nil are passed over, and one whose associations are damaged stays as it is. It asks nothing where the object type has no such property.
func (s *Store) FillCounts(ctx context.Context, o record.ObjectType, recs []*record.Record) error {
	if err := s.require(ctx, o, CanView); err != nil {
		return err
	}
	schema, err := s.schema(ctx, o)
	if err != nil {
		return err
	}
	counted := map[record.ObjectType]int{} // property numbers
	var others []record.ObjectType
	for i := range schema.Properties {
		p := &schema.Properties[i]
		if p.Counts == "" || p.Removed {
			continue
		}
		may, err := s.May(ctx, p.Counts, CanView)
		if err != nil {
			return err
		}
		if may {
			counted[p.Counts], others = p.Number, append(others, p.Counts)
		}
	}
	var ids []record.ID
	var there []*record.Record
	for _, r := range recs {
		if r != nil {
			ids, there = append(ids, r.ID), append(there, r)
		}
	}
	if len(others) == 0 || len(ids) == 0 {
		return nil
	}
	found, err := s.associations(ctx, o, ids, others, false)
	if errors.Is(err, errEntries) && len(there) > 1 { // one that is damaged stays unknown, and does not stop the others
		for _, r := range there {
			if err := s.FillCounts(ctx, o, []*record.Record{r}); err != nil {
				return err
			}
		}
		return nil
	}
	if err != nil && !errors.Is(err, errEntries) {
		return fmt.Errorf("count associations of %s: %w", o.Plural(), err)
	}
	for i, r := range there[:len(found)] {
		sums := map[record.ObjectType]int{}
		for _, ref := range found[i] {
			sums[ref.Object]++
		}
		for other, number := range counted {
			r.SetCount(number, sums[other])
		}
	}
	return nil
}
