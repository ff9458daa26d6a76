// Package people makes contacts up: 25 properties with types, skew, unknown values and text lengths as a CRM has them.
//
// A contact depends on the crowd's seed and its own number alone, so every store in a comparison holds the same ones,
// whichever order they are made in. No name or address belongs to anybody: all mail domains end in .example.
package people

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Crowd is any number of contacts. The zero Seed is a seed like any other.
type Crowd struct {
	Seed uint64
	Now  time.Time // the instant that dates lie before
	Long bool      // the street address is 80 to 200 bytes long, instead of 12 to 30
}

// Person is one contact: Values in the order of [Names]; an unknown one is the zero Value.
type Person struct {
	ID     record.ID
	Values []record.Value
}

// maker is the state in which one contact is made.
type maker struct {
	*rand.Rand
	crowd  Crowd
	number int
	first  string
	last   string
}

// property is one property and how its value is made up.
type property struct {
	name string
	make func(m *maker) record.Value
}

// ActivityMean is the mean time since the last activity of the contacts that have one; it is distributed
// exponentially, so that a share of the crowd can be chosen by a date.
const ActivityMean = 200 * 24 * time.Hour

// The shares that [OlderThan] relies on.
const (
	activeShare = 0.85 // have a last activity at all
	earlyShare  = 0.55 // are subscribers or leads
)

// OlderThan is the day before which the last activity of so large a share of the crowd's subscribers and leads lies,
// as a share of the whole crowd (at most 0.46).
func (c Crowd) OlderThan(share float64) time.Time {
	age := -math.Log(share/(activeShare*earlyShare)) * float64(ActivityMean)
	return c.Now.Add(-time.Duration(age)).Truncate(24 * time.Hour)
}

// Names are the internal names of the properties, in the order of [Person.Values].
func Names() []string {
	list := properties()
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].name
	}
	return names
}

// Make makes contacts from ≤ i < to. The id of contact i is i+1.
func (c Crowd) Make(from, to int) []Person {
	list := properties()
	made := make([]Person, 0, to-from)
	for i := from; i < to; i++ {
		m := maker{Rand: rand.New(rand.NewPCG(c.Seed, uint64(i))), crowd: c, number: i}
		m.first, m.last = pick(&m, firstNames), pick(&m, lastNames)
		values := make([]record.Value, len(list))
		for j := range list {
			values[j] = list[j].make(&m)
		}
		made = append(made, Person{ID: record.ID(i + 1), Values: values})
	}
	return made
}

// pick takes the early ones of a list far more often than the late ones, as with names and towns.
func pick(m *maker, list []string) string {
	f := m.Float64()
	return list[int(f*f*float64(len(list)))]
}

func (m *maker) chance(share float64) bool { return m.Float64() < share }

// ago is an instant before now, exponentially distributed.
func (m *maker) ago(mean time.Duration) record.Value {
	return record.DateTimeValue(m.crowd.Now.Add(-time.Duration(m.ExpFloat64() * float64(mean))))
}

// sometimes makes the value for a share of the contacts; it is unknown for the others.
func sometimes(share float64, known func(m *maker) record.Value) func(m *maker) record.Value {
	return func(m *maker) record.Value {
		if !m.chance(share) {
			return record.Value{}
		}
		return known(m)
	}
}

// instant is a date for a share of the contacts.
func instant(share float64, mean time.Duration) func(m *maker) record.Value {
	return sometimes(share, func(m *maker) record.Value { return m.ago(mean) })
}

// count is a whole number with the given mean for a share of the contacts.
func count(share, mean float64) func(m *maker) record.Value {
	return sometimes(share, func(m *maker) record.Value { return record.NumberValue(math.Floor(m.ExpFloat64() * mean)) })
}

// word is one of a list for a share of the contacts.
func word(share float64, list []string) func(m *maker) record.Value {
	return sometimes(share, func(m *maker) record.Value { return record.StringValue(pick(m, list)) })
}

func (m *maker) digits(format string) string {
	return strings.Map(func(r rune) rune {
		if r == '#' {
			return rune('0' + m.IntN(10))
		}
		return r
	}, format)
}

func email(m *maker) record.Value {
	return record.StringValue(fmt.Sprintf("%s.%s.%d@%s", strings.ToLower(m.first), strings.ToLower(m.last), m.number, pick(m, domains)))
}

func address(m *maker) record.Value {
	street := fmt.Sprintf("%d %s %s", 1+m.IntN(999), pick(m, lastNames), pick(m, streets))
	if m.crowd.Long {
		for want := 80 + m.IntN(120); len(street) < want; {
			street += ", " + pick(m, lastNames) + " " + pick(m, streets)
		}
	}
	return record.StringValue(street)
}

func stage(m *maker) record.Value {
	f := m.Float64()
	switch {
	case f < 0.30:
		return record.EnumValue("subscriber")
	case f < earlyShare:
		return record.EnumValue("lead")
	case f < 0.70:
		return record.EnumValue("marketingqualifiedlead")
	case f < 0.80:
		return record.EnumValue("opportunity")
	default:
		return record.EnumValue("customer")
	}
}
