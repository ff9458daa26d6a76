package crmstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

var scriptReword = mustLuaScript("reword")

// cleanReasons overwrites what names the contacts in the reasons for which records in the bin were deleted, of every
// object type. Records on legal hold keep theirs, and are mentioned. It costs reading the bins.
func (e *erasure) cleanReasons(ctx context.Context, n *needles) error {
	partitions, err := e.store.Partitions(ctx)
	if err != nil {
		return err
	}
	objects, err := e.store.objectTypes(ctx)
	if err != nil {
		return err
	}
	ed := newEditor(n)
	for _, o := range objects {
		for from := 0; from < partitions; from += redisdb.ColumnsPerWindow {
			var bin []record.ID
			err := e.store.ReadColumns(ctx, o, from, min(from+redisdb.ColumnsPerWindow, partitions), Want{IDs: true}, func(c *Columns) error {
				bin = appendExpired(bin, c, record.FreeCell-1)
				return nil
			})
			if err != nil {
				return err
			}
			for part := range slices.Chunk(bin, purgeAtOnce) {
				if err := e.rewordAll(ctx, o, part, ed); err != nil {
					return fmt.Errorf("look through reasons for deletions of %s: %w", o.Plural(), err)
				}
			}
		}
	}
	return nil
}

// rewordAll goes over records in the bin until nobody is in the way.
func (e *erasure) rewordAll(ctx context.Context, o record.ObjectType, ids []record.ID, ed *editor) error {
	for range eraseTries {
		var err error
		if ids, err = e.reword(ctx, o, ids, ed); err != nil || len(ids) == 0 {
			return err
		}
	}
	return record.ErrConflict
}

// rewording is a record in the bin with the facts of its deletion as they are, and as they are to be.
type rewording struct {
	id      record.ID
	was, is string
}

// reword changes the reasons of records; those that somebody else changed meanwhile it returns.
func (e *erasure) reword(ctx context.Context, o record.ObjectType, ids []record.ID, ed *editor) (again []record.ID, err error) {
	partitions, err := e.store.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	want, _ := byPartition(ids, partitions)
	var calls []redisdb.Call
	var parts [][]rewording
	err = e.store.fetch(ctx, o, want, func(i int, values []any) error {
		var list []rewording
		for j, v := range values {
			text, _ := v.(string)
			h, err := record.ParseHeader(record.BytesOf(text))
			if err != nil || h.Archived == 0 {
				continue // it is gone, restored, or damaged, which doctor tells
			}
			was := text[record.HeaderSize : record.HeaderSize+h.FactsLen]
			is, found, err := ed.field("f", was)
			if err != nil {
				return fmt.Errorf("%s %s: %w", o, want[i].IDs[j], err)
			}
			if found {
				list = append(list, rewording{want[i].IDs[j], was, is})
			}
		}
		for part := range slices.Chunk(list, targetsPerCall) {
			parts = append(parts, part)
			calls = append(calls, e.rewordCall(o, want[i].Partition, part))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = redisdb.InWindows(ctx, len(calls), redisdb.CallsPerWindow, func(ctx context.Context, from, to int) error {
		replies, err := e.store.db.RunAll(ctx, calls[from:to])
		for i := from; i < to && err == nil; i++ {
			var done string
			if done, err = redisdb.Outcomes(replies[i-from], len(parts[i])); err == nil {
				for j := range parts[i] {
					if done[j] == '2' {
						held := record.Ref{Object: o, ID: parts[i][j].id}
						e.mentions = addMentions(e.mentions, []Mention{{MentionHeld, held.String()}})
					}
					if done[j] != '0' {
						parts[i][j].id = 0
					}
				}
			}
		}
		return err
	})
	for _, part := range parts {
		for _, one := range part {
			if one.id != 0 {
				again = append(again, one.id)
			}
		}
	}
	return again, err
}

func (e *erasure) rewordCall(o record.ObjectType, partition int, part []rewording) redisdb.Call {
	ids := make([]byte, 0, 8*len(part))
	args := make([]any, 1, 1+2*len(part))
	for _, one := range part {
		b := one.id.Bytes()
		ids = append(ids, b[:]...)
		args = append(args, one.was, one.is)
	}
	args[0] = ids
	k := e.store.partition(o, partition)
	return redisdb.Call{Script: scriptReword, Keys: []string{k.rec(), k.hold(), k.cnt()}, Args: args}
}
