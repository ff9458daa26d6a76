package crmstore

import (
	"cmp"
	"context"
	"fmt"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Want says what [Store.ReadColumns] fetches of each partition, beside the archived-at column.
type Want struct {
	IDs        bool
	Properties []int // property numbers that have columns
	Lists      []int // list numbers
}

// Columns is one partition's columns at one instant; valid only until the callback returns.
// Every slice may be shorter than Slots*8 bytes (or Slots bits): what is not there is 0.
type Columns struct {
	Partition  int
	Slots      int      // slots ever used
	IDs        []byte   // 8 bytes per slot
	Archived   []byte   // 8 bytes per slot: 0 live, FreeCell free, else archived-at as a TimeCell
	Properties [][]byte // as asked, 8 bytes per slot
	Lists      [][]byte // as asked, 1 bit per slot, most significant bit of a byte first (Redis SETBIT order)
}

// ReadColumns fetches columns of partitions from ≤ p < to, pipelined, in order, and hands each to fn. The columns of
// a partition come with one command and so agree with each other. A list that does not hold as many members as were put
// on it is a *LostError.
func (s *Store) ReadColumns(ctx context.Context, o record.ObjectType, from, to int, want Want, fn func(*Columns) error) error {
	if err := s.require(ctx, o, CanView); err != nil {
		return err
	}
	windows := [2]*columnWindow{s.windows.column(), s.windows.column()} // one is loaded while the other is used
	defer s.windows.columns.Put(windows[0])
	defer s.windows.columns.Put(windows[1])
	load := func(ctx context.Context, i int) (*columnWindow, error) {
		w := windows[i%2]
		w.from = from + i*redisdb.ColumnsPerWindow
		w.commands = w.commands[:0]
		for p := w.from; p < min(w.from+redisdb.ColumnsPerWindow, to); p++ {
			w.commands = append(w.commands, want.command(s.partition(o, p)))
		}
		if w.partitions = len(w.commands); len(want.Lists) > 0 {
			for p := w.from; p < w.from+w.partitions; p++ {
				w.commands = append(w.commands, want.counterCommand(s.partition(o, p)))
			}
		}
		return w, s.db.Ask(ctx, w.commands, w.answers[:])
	}
	c := Columns{Properties: make([][]byte, len(want.Properties)), Lists: make([][]byte, len(want.Lists))}
	n := (max(to-from, 0) + redisdb.ColumnsPerWindow - 1) / redisdb.ColumnsPerWindow
	var values, counters [][]byte
	err := redisdb.Prefetch(ctx, n, load, func(w *columnWindow) error {
		for j := range w.partitions {
			c.Partition = w.from + j
			var err error
			if values, err = w.answers[j].Values(values[:0]); err != nil || len(values) != len(w.commands[j])-1 {
				return fmt.Errorf("columns of partition %d: %w", c.Partition, cmp.Or(err, redisdb.ErrOddReply))
			}
			if len(want.Lists) > 0 {
				if counters, err = w.answers[w.partitions+j].Values(counters[:0]); err == nil && !want.whole(values, counters) {
					values, err = s.readSteadily(ctx, o, c.Partition, &want)
				}
				if err != nil {
					return fmt.Errorf("columns of partition %d: %w", c.Partition, err)
				}
			}
			c.fill(want, values)
			if err := fn(&c); err != nil {
				return callerError{err}
			}
		}
		return nil
	})
	return readError(o, err)
}

// columnWindow is one pipeline of columns, with memory that the next one uses again.
type columnWindow struct {
	from       int
	partitions int
	commands   [][]any // the columns of each partition, then its counters, if lists are asked for
	answers    [2 * redisdb.ColumnsPerWindow]redisdb.RawReply
}

func (w *Want) command(k partitionKeys) []any {
	args := make([]any, 0, 3+len(w.Properties)+len(w.Lists))
	args = append(args, "mget", k.arch())
	if w.IDs {
		args = append(args, k.ids())
	}
	for _, number := range w.Properties {
		args = append(args, k.col(number))
	}
	for _, number := range w.Lists {
		args = append(args, k.list(number))
	}
	return args
}

// fill sets the columns from what MGET returned for the keys of w.
func (c *Columns) fill(w Want, values [][]byte) {
	next := func(size int) []byte {
		column := values[0]
		values = values[1:]
		return column[:min(len(column), size)]
	}
	c.Archived = next(int(^uint(0) >> 1))
	c.Slots = len(c.Archived) / 8
	c.IDs = nil
	if w.IDs {
		c.IDs = next(8 * c.Slots)
	}
	for i := range w.Properties {
		c.Properties[i] = next(8 * c.Slots)
	}
	for i := range w.Lists {
		c.Lists[i] = next((c.Slots + 7) / 8)
	}
}
