package crmstore

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// wrongKey is a key with the type that it must have, and the type that it has.
type wrongKey struct {
	key, want, is string
	moved         string // under which key it stands now; "" = where it was
}

// String says what is wrong with the key, and what to do or what was done.
func (w *wrongKey) String() string {
	if w.moved != "" {
		return fmt.Sprintf("key %s was a %s, must be a %s; it stands under %s now", w.key, w.is, w.want, w.moved)
	}
	return fmt.Sprintf("key %s is a %s, must be a %s; move it aside with: workflow doctor --quarantine", w.key, w.is, w.want)
}

// The types of keys, as servers call them.
const (
	typeHash   = "hash"
	typeString = "string"
	typeList   = "list"
	typeStream = "stream"
	typeSet    = "set"
	typeSorted = "zset"
)

// typedKeys are all keys of a partition that the examination reads.
func (d *doctor) typedKeys(k partitionKeys) []wrongKey {
	keys := []wrongKey{
		{key: k.rec(), want: typeHash},
		{key: k.cnt(), want: typeHash},
		{key: k.assoc(), want: typeHash},
		{key: k.tomb(), want: typeHash},
		{key: k.bad(), want: typeHash},
		{key: k.hold(), want: typeHash},
		{key: k.back(), want: typeHash},
		{key: k.heir(), want: typeHash},
		{key: k.free(), want: typeList},
		{key: k.log(), want: typeStream},
	}
	for _, key := range d.stringKeys(k) {
		keys = append(keys, wrongKey{key: key, want: typeString})
	}
	for _, name := range d.workflows {
		keys = append(keys, wrongKey{key: k.enr(name), want: typeHash})
	}
	return keys
}

// accountKeys are the keys of the account that the examination of an object type reads or that programs need every day.
func (d *doctor) accountKeys() []wrongKey {
	s := d.store
	keys := []wrongKey{
		{key: s.keyLists(d.object), want: typeHash},
		{key: s.keyUnlisted(d.object), want: typeSet},
		{key: s.keyWorkflows(), want: typeHash},
		{key: s.keyNextID(d.object), want: typeString},
		{key: s.keyDeleted(d.object), want: typeHash},
		{key: s.keyAside(d.object), want: typeHash},
	}
	if d.object != record.Contact {
		return keys
	}
	return append(keys, []wrongKey{
		{key: s.keySettings(), want: typeHash},
		{key: s.keyRefusals(), want: typeHash},
		{key: s.keyAccountLog(), want: typeStream},
		{key: countersOf(s.keyAccountLog()), want: typeHash},
		{key: s.keyErasing(), want: typeHash},
		{key: s.keyRuns(), want: typeSorted},
		{key: s.keyActive(), want: typeHash},
		{key: s.keyPace(), want: typeHash},
		{key: s.keyDaemons(), want: typeHash},
		{key: s.keyOutbox(), want: typeHash},
		{key: s.keyOutboxQueue(), want: typeSorted},
	}...)
}

// claimKeys are the keys of all e-mail claims.
func (d *doctor) claimKeys() []wrongKey {
	var keys []wrongKey
	for bucket := range d.partitions {
		for part := range claimParts {
			keys = append(keys, wrongKey{key: d.store.keyClaims(bucket, part), want: typeHash})
		}
	}
	return keys
}

// ofWrongType are those of the keys that are there and have another type, moved aside when that is ordered.
func (d *doctor) ofWrongType(ctx context.Context, keys []wrongKey) (wrong []wrongKey, err error) {
	err = inChunks(0, len(keys), keysPerWindow, func(from, to int) error {
		types := make([]*redis.StatusCmd, 0, to-from)
		_, err := d.store.db.Redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for _, k := range keys[from:to] {
				types = append(types, pipe.Type(ctx, k.key))
			}
			return nil
		})
		if err != nil {
			return d.store.db.Explain(err)
		}
		for i, t := range types {
			if k := keys[from+i]; t.Val() != "none" && t.Val() != k.want {
				k.is = t.Val()
				wrong = append(wrong, k)
			}
		}
		return nil
	})
	if err == nil && d.order.Quarantine {
		err = d.moveAside(ctx, wrong)
	}
	return wrong, err
}

// moveAside gives keys of a wrong type another name, under which nobody looks for them.
func (d *doctor) moveAside(ctx context.Context, wrong []wrongKey) error {
	for i := range wrong {
		w := &wrong[i]
		for n := 1; w.moved == ""; n++ {
			to := w.key + ":bad" + strconv.Itoa(n)
			taken, err := d.store.db.Redis.Exists(ctx, to).Result()
			if err == nil && taken == 0 {
				err, w.moved = d.store.db.Redis.Rename(ctx, w.key, to).Err(), to
			}
			if err != nil {
				return fmt.Errorf("move key %s aside: %w", w.key, d.store.db.Explain(err))
			}
		}
	}
	return nil
}

// isWrong reports whether a key of the account has a wrong type, and stands in the way.
func (d *doctor) isWrong(key string) bool {
	return slices.ContainsFunc(d.wrong, func(w wrongKey) bool { return w.key == key && w.moved == "" })
}

// blocked reports whether a key of a wrong type is in the way of repairs.
func (b *body) blocked() bool {
	return slices.ContainsFunc(b.wrong, func(w wrongKey) bool { return w.moved == "" })
}

// reportTypes reports keys of a wrong type.
func (d *doctor) reportTypes(wrong []wrongKey) error {
	for i := range wrong {
		if err := d.report(Problem{Code: problemType, Detail: wrong[i].String(), Repaired: wrong[i].moved != ""}); err != nil {
			return err
		}
		if wrong[i].moved != "" {
			d.note(opQuarantine, "key "+wrong[i].key+" moved to "+wrong[i].moved)
		}
	}
	return nil
}

// examineAccount looks at what belongs to no partition: the types of keys, and the account's own audit log.
func (d *doctor) examineAccount(ctx context.Context) error {
	if err := d.reportTypes(d.wrong); err != nil {
		return err
	}
	if d.email != nil {
		wrong, err := d.ofWrongType(ctx, d.claimKeys())
		if err != nil {
			return err
		}
		for i := range wrong {
			d.noClaims = d.noClaims || wrong[i].moved == ""
		}
		if err := d.reportTypes(wrong); err != nil {
			return err
		}
	}
	if d.object != record.Contact {
		return nil
	}
	c, err := d.store.Clock(ctx)
	if err != nil {
		return err
	}
	if c.State == ClockForgotten || c.Hidden == ClockForgotten {
		c.State = ClockForgotten
		wrong := &ClockError{Clock: c}
		if err := d.report(Problem{Code: problemClock, Detail: wrong.Error() + "; " + wrong.Help()}); err != nil {
			return err
		}
	}
	return d.examineAccountLog(ctx)
}
