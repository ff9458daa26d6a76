package crmstore

import (
	"context"

	"github.com/redis/go-redis/v9"
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
// a partition come with one command and so agree with each other.
func (s *Store) ReadColumns(ctx context.Context, o ObjectType, from, to int, want Want, fn func(*Columns) error) error {
	type window struct {
		from     int
		commands []*redis.SliceCmd
	}
	load := func(ctx context.Context, i int) (window, error) {
		w := window{from: from + i*columnsPerWindow}
		pipe := s.rdb.Pipeline()
		for p := w.from; p < min(w.from+columnsPerWindow, to); p++ {
			w.commands = append(w.commands, pipe.MGet(ctx, want.keys(s.partition(o, p))...))
		}
		_, err := pipe.Exec(ctx)
		return w, s.trouble(err)
	}
	c := Columns{Properties: make([][]byte, len(want.Properties)), Lists: make([][]byte, len(want.Lists))}
	n := (max(to-from, 0) + columnsPerWindow - 1) / columnsPerWindow
	err := ahead(ctx, n, load, func(w window) error {
		for j, command := range w.commands {
			c.Partition = w.from + j
			c.fill(want, command.Val())
			if err := fn(&c); err != nil {
				return callerError{err}
			}
		}
		return nil
	})
	return readError(o, err)
}

func (w *Want) keys(k partitionKeys) []string {
	keys := make([]string, 0, 2+len(w.Properties)+len(w.Lists))
	keys = append(keys, k.arch())
	if w.IDs {
		keys = append(keys, k.ids())
	}
	for _, number := range w.Properties {
		keys = append(keys, k.col(number))
	}
	for _, number := range w.Lists {
		keys = append(keys, k.list(number))
	}
	return keys
}

// fill sets the columns from what MGET returned for the keys of w.
func (c *Columns) fill(w Want, values []any) {
	next := func(size int) []byte {
		text, _ := values[0].(string)
		values = values[1:]
		return view(text[:min(len(text), size)])
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
