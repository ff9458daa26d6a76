package crmstore

import (
	"sync"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// slotGuesses says which slots new records will most likely get: those behind the last that this process knows of. When
// the guess is right, as it is in a large import, the server stores a record's bytes as they come. Otherwise the script
// writes the right slot into them. The zero value guesses that everything is empty.
type slotGuesses struct {
	mu   sync.Mutex
	next map[record.ObjectType][]uint32 // by partition
}

// take guesses the first of n slots of a partition, and counts them as given.
func (g *slotGuesses) take(o record.ObjectType, partition, n int) uint32 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next == nil {
		g.next = make(map[record.ObjectType][]uint32)
	}
	next := g.next[o]
	for len(next) <= partition {
		next = append(next, 0)
	}
	first := next[partition]
	next[partition] += uint32(n)
	g.next[o] = next
	return first
}

// correct notes the next slot of a partition after a guess that was wrong.
func (g *slotGuesses) correct(o record.ObjectType, partition int, next uint32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next[o][partition] = next
}
