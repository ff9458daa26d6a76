package triggers

// Answer is a truth value of three-valued logic. The zero Answer is False; they are ordered, so that
// "and" is the smaller and "or" the greater of two.
type Answer uint8

// The answers.
const (
	False Answer = iota
	Unknown
	True
)

func answer(b bool) Answer {
	if b {
		return True
	}
	return False
}

func (a Answer) not() Answer { return True - a }

// String is "false", "unknown" or "true".
func (a Answer) String() string { return [...]string{"false", "unknown", "true"}[a] }

// MarshalText writes the Answer as String does.
func (a Answer) MarshalText() ([]byte, error) { return []byte(a.String()), nil }
