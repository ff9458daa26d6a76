package triggers

import (
	"math"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// env is what compiled functions see of one record at one instant. It remembers values by property
// number and forgets them all at once by counting generations, so that testing a record allocates nothing.
type env struct {
	now, today float64 // milliseconds since 1970 UTC
	zone       *time.Location
	record     *record.Record
	lists      map[int][]byte // members of the record's partition, a bit per slot
	slot       uint32
	related    related        // what the record is associated with; nil = not read
	other      *record.Record // the associated record that a condition is asked of

	given      []record.Value // not nil: the values of a record that is decoded already, by property number
	values     []record.Value
	stamps     []uint64
	generation uint64
	days       [256]dayStart
}

// dayStart remembers one result of firstShown.
type dayStart struct {
	midnight int64
	begins   float64
	known    bool
}

// newEnv is an env for properties up to the number highest.
func newEnv(v Vocabulary, now time.Time, highest int) *env {
	now = now.Truncate(time.Millisecond)
	e := &env{
		now:    float64(now.UnixMilli()),
		zone:   v.zone(),
		values: make([]record.Value, highest+1), stamps: make([]uint64, highest+1), generation: 1,
	}
	e.today = e.dayOf(e.now)
	return e
}

func (e *env) clone() *env {
	c := *e
	c.record, c.lists, c.given, c.related, c.other = nil, nil, nil, nil, nil
	c.values, c.stamps = make([]record.Value, len(e.values)), make([]uint64, len(e.stamps))
	return &c
}

// setRecord turns to another record; nil means one without any values.
func (e *env) setRecord(r *record.Record) {
	e.record, e.given, e.related = r, nil, nil
	e.generation++
	if r != nil {
		e.slot = r.Slot
	}
}

// read turns to a record that stands in the slot and was decoded elsewhere.
func (e *env) read(values []record.Value, slot int) {
	e.given, e.slot = values, uint32(slot)
}

// pretend makes the property have a value, until the next look.
func (e *env) pretend(p *record.Property, v record.Value) {
	e.values[p.Number], e.stamps[p.Number] = v, e.generation
}

func (e *env) value(number int) record.Value {
	if e.given != nil {
		return e.given[number]
	}
	if e.stamps[number] != e.generation {
		e.stamps[number] = e.generation
		e.values[number] = record.Value{}
		if e.record != nil {
			e.values[number] = e.record.Value(number)
		}
	}
	return e.values[number]
}

func (e *env) member(list int) bool {
	members, i := e.lists[list], int(e.slot>>3)
	return i < len(members) && members[i]>>(7-e.slot&7)&1 == 1
}

// The days that a date property may stand for. What lies outside, which the store does not take, is
// moved to the nearest end, so that no calendar arithmetic runs over.
const (
	firstDay int64 = -400_000_000_000_000 / dayMilli * dayMilli
	lastDay  int64 = 400_000_000_000_000 / dayMilli * dayMilli
)

// day is the instant that a date property stands for.
func (e *env) day(utcMidnight int64) float64 {
	utcMidnight = min(max(utcMidnight, firstDay), lastDay)
	if e.zone == time.UTC {
		return float64(utcMidnight)
	}
	slot := &e.days[uint64(utcMidnight/dayMilli)%uint64(len(e.days))]
	if !slot.known || slot.midnight != utcMidnight {
		*slot = dayStart{utcMidnight, float64(firstShown(utcMidnight, e.zone)), true}
	}
	return slot.begins
}

func finite(f float64) (float64, bool) { return f, !math.IsNaN(f) && !math.IsInf(f, 0) }
