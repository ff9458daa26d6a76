package triggers

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

// program is column tests made ready to run over the columns of a partition. A bit stands for a slot: 64
// slots to a word, the lowest slot in the lowest bit. It is not safe for concurrent use.
type program struct {
	want   crmstore.Want
	root   []*step // one for each test the program was made of
	common map[string]*common
	words  [][]uint64
	depth  int
	alive  []uint64 // live slots of the partition in hand
}

// common is a test of cells that the program has in several places; it is carried out once for a partition.
type common struct {
	places int
	known  bool     // for the partition in hand
	hits   []uint64 // all live slots for which it holds
}

// step is one columnTest with the place of its column.
type step struct {
	op      testOp
	column  int // in Want.Properties or Want.Lists
	match   cellMatch
	common  *common
	negated bool
	parts   []*step
}

// newProgram makes tests ready.
func newProgram(tests ...*columnTest) *program {
	p := &program{common: map[string]*common{}}
	for _, t := range tests {
		p.root = append(p.root, p.step(t))
	}
	for _, s := range p.root {
		s.order() // now it is known what they have in common
	}
	return p
}

// wantLists reads further lists along.
func (p *program) wantLists(lists []int) {
	for _, l := range lists {
		p.list(l)
	}
}

func (p *program) list(number int) int {
	if i := slices.Index(p.want.Lists, number); i >= 0 {
		return i
	}
	p.want.Lists = append(p.want.Lists, number)
	return len(p.want.Lists) - 1
}

func (p *program) step(t *columnTest) *step {
	s := &step{op: t.op, negated: t.negated}
	switch t.op {
	case testCells:
		if s.column = slices.Index(p.want.Properties, t.property.Number); s.column < 0 {
			s.column = len(p.want.Properties)
			p.want.Properties = append(p.want.Properties, t.property.Number)
		}
		s.match = newCellMatch(t.cells)
		key := fmt.Sprint(t.property.Number, t.cells)
		if s.common = p.common[key]; s.common == nil {
			s.common = &common{}
			p.common[key] = s.common
		}
		s.common.places++
	case testList:
		s.column = p.list(t.list)
	}
	for _, part := range t.parts {
		s.parts = append(s.parts, p.step(part))
	}
	return s
}

// order puts what costs least first: a bitmap is a hundredth of a column, a nested test is several columns.
func (s *step) order() {
	for _, part := range s.parts {
		part.order()
	}
	slices.SortStableFunc(s.parts, func(a, b *step) int { return a.cost() - b.cost() })
}

func (s *step) cost() int {
	switch {
	case s.op == testList, s.op == testCells && s.common.places > 1:
		return 0
	case s.op == testCells:
		return 1
	}
	return 2 + len(s.parts)
}

// live is the slots that hold a live record. The result is good until the next call.
func (p *program) live(c *crmstore.Columns) []uint64 {
	p.depth = 0
	for _, known := range p.common {
		known.known = false
	}
	mask := p.buffer((c.Slots + 63) / 64)
	for w := range mask {
		mask[w] = ^uint64(0)
	}
	if rest := c.Slots % 64; rest > 0 {
		mask[len(mask)-1] = 1<<rest - 1
	}
	cellMatch{kind: matchRange}.test(c.Archived, mask, mask)
	return mask
}

// run is the live slots for which the i-th test holds; live is what that returned, for the same columns.
func (p *program) run(i int, c *crmstore.Columns, live []uint64) []uint64 {
	out := p.buffer(len(live))
	p.alive = live
	p.eval(p.root[i], c, live, out)
	return out
}

// buffer lends words; what was lent since the last call of live is in use.
func (p *program) buffer(words int) []uint64 {
	if p.depth == len(p.words) {
		p.words = append(p.words, nil)
	}
	if cap(p.words[p.depth]) < words {
		p.words[p.depth] = make([]uint64, words)
	}
	p.depth++
	return p.words[p.depth-1][:words]
}

// eval puts into out the bits of mask for which s holds. mask and out may be the same words.
func (p *program) eval(s *step, c *crmstore.Columns, mask, out []uint64) {
	switch s.op {
	case testNone:
		clear(out)
	case testAny:
		copy(out, mask)
	case testCells:
		if s.common.places > 1 {
			p.once(s, c)
			for w := range mask {
				out[w] = mask[w] & s.common.hits[w]
			}
			return
		}
		s.match.test(c.Properties[s.column], mask, out)
	case testList:
		listed(c.Lists[s.column], s.negated, mask, out)
	case testAnd: // each part looks only at what the parts before it left
		p.eval(s.parts[0], c, mask, out)
		for _, part := range s.parts[1:] {
			p.eval(part, c, out, out)
		}
	case testOr: // each part looks only at what the parts before it did not find
		before := p.depth
		rest, hit := p.buffer(len(mask)), p.buffer(len(mask))
		copy(rest, mask)
		clear(out)
		for _, part := range s.parts {
			p.eval(part, c, rest, hit)
			for w := range hit {
				out[w] |= hit[w]
				rest[w] &^= hit[w]
			}
		}
		p.depth = before
	}
}

// once carries out a test that several have in common.
func (p *program) once(s *step, c *crmstore.Columns) {
	if s.common.known {
		return
	}
	s.common.known = true
	s.common.hits = slices.Grow(s.common.hits[:0], len(p.alive))[:len(p.alive)]
	s.match.test(c.Properties[s.column], p.alive, s.common.hits)
}

// listed puts into out the bits of mask whose slots are in the list, or are not when negated.
func listed(list []byte, negated bool, mask, out []uint64) {
	for w := range mask {
		var word uint64
		if from := w * 8; from+8 <= len(list) {
			word = bits.Reverse64(binary.BigEndian.Uint64(list[from:]))
		} else {
			for i := from; i < len(list); i++ {
				word |= uint64(bits.Reverse8(list[i])) << (8 * (i - from))
			}
		}
		if negated {
			word = ^word
		}
		out[w] = word & mask[w]
	}
}

// cellMatch is a set of cells in the form that is quickest to ask.
type cellMatch struct {
	kind      matchKind
	low, span uint64 // matchRange: cells from low to low+span
	small     uint64 // matchSmall: a bit for each cell below 64
	large     bool   // matchSmall: all cells from 64 on
	set       cells
}

type matchKind uint8

const (
	matchSet matchKind = iota
	matchRange
	matchSmall
)

func newCellMatch(set cells) cellMatch {
	if len(set) == 1 {
		return cellMatch{kind: matchRange, low: set[0].low, span: set[0].high - set[0].low}
	}
	upper := set.intersect(cells{{64, ^uint64(0)}})
	if len(upper) == 0 || upper[0] == (cellRange{64, ^uint64(0)}) {
		m := cellMatch{kind: matchSmall, large: len(upper) > 0}
		for c := range uint64(64) {
			if set.contains(c) {
				m.small |= 1 << c
			}
		}
		return m
	}
	return cellMatch{set: set}
}

func (m cellMatch) matches(c uint64) bool {
	switch m.kind {
	case matchRange:
		return c-m.low <= m.span
	case matchSmall:
		return c < 64 && m.small>>c&1 == 1 || c >= 64 && m.large
	}
	return m.set.contains(c)
}

// test puts into out the bits of mask whose cells are in the set. Words of mask that are 0 cost nothing.
func (m cellMatch) test(column []byte, mask, out []uint64) {
	for w, wanted := range mask {
		if wanted == 0 {
			out[w] = 0
			continue
		}
		from := w * 512
		if from+512 > len(column) {
			out[w] = m.end(column[min(from, len(column)):], wanted)
			continue
		}
		block := (*[512]byte)(column[from:])
		switch {
		case bits.OnesCount64(wanted) <= 8:
			out[w] = m.few(block, wanted)
		case m.kind == matchRange:
			out[w] = m.rangeBlock(block) & wanted
		case m.kind == matchSmall:
			out[w] = m.smallBlock(block) & wanted
		default:
			out[w] = m.few(block, wanted)
		}
	}
}

// few asks the wanted cells one by one.
func (m cellMatch) few(block *[512]byte, wanted uint64) uint64 {
	found := uint64(0)
	for rest := wanted; rest != 0; rest &= rest - 1 {
		i := bits.TrailingZeros64(rest)
		if m.matches(binary.LittleEndian.Uint64(block[i*8 : i*8+8])) {
			found |= 1 << i
		}
	}
	return found
}

// end is for the last cells of a column; what is not there is 0.
func (m cellMatch) end(column []byte, wanted uint64) uint64 {
	found := uint64(0)
	for rest := wanted; rest != 0; rest &= rest - 1 {
		i := bits.TrailingZeros64(rest)
		cell := uint64(0)
		if i*8+8 <= len(column) {
			cell = binary.LittleEndian.Uint64(column[i*8:])
		}
		if m.matches(cell) {
			found |= 1 << i
		}
	}
	return found
}

// rangeBlock and smallBlock hold no branch that depends on a cell, since the processor would guess wrongly
// for half of the cells of mixed data.
func (m cellMatch) rangeBlock(block *[512]byte) uint64 {
	found := uint64(0)
	for i := range 64 {
		c := binary.LittleEndian.Uint64(block[i*8 : i*8+8])
		bit := uint64(0)
		if c-m.low <= m.span {
			bit = 1
		}
		found = found>>1 | bit<<63
	}
	return found
}

func (m cellMatch) smallBlock(block *[512]byte) uint64 {
	large := uint64(0)
	if m.large {
		large = 1
	}
	found := uint64(0)
	for i := range 64 {
		c := binary.LittleEndian.Uint64(block[i*8 : i*8+8])
		bit := m.small >> (c & 63) & 1
		if c > 63 {
			bit = large
		}
		found = found>>1 | bit<<63
	}
	return found
}
