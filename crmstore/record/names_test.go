package record

import (
	"strings"
	"testing"
)

func TestNamesAreSeen(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ke\u200bep", "\u3164", "keep\u00a0it", "a\u202eb", "a\ufe0fb", "a\u00adb"} {
		if err := CheckSeen("list name", name); err == nil || !strings.Contains(err.Error(), "U+") {
			t.Errorf("%q: %v; want an error that names the character", name, err)
		}
		property := Property{Name: "a", Label: name, Type: String}
		if CheckNewProperty(&property) == nil {
			t.Errorf("%q is taken for a label", name)
		}
		property = Property{Name: "a", Type: Enumeration, Options: []Option{{Value: "x" + name}}}
		if CheckNewProperty(&property) == nil {
			t.Errorf("%q is taken for an option", name)
		}
	}
	if err := CheckSeen("list name", "Kunden, wichtig & 名前"); err != nil {
		t.Error(err)
	}
}
