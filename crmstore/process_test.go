package crmstore

import (
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

// What the machine says of a process is one user and one host, bounded, on one line and visible.
func TestProcessOwner(t *testing.T) {
	t.Parallel()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	got := processOwner()
	name, where, found := strings.Cut(got, "@")
	if !found || name == "" || where != processPart(host) || strings.Contains(where, "@") {
		t.Errorf("this process is %q, want USER@%s", got, host)
	}
	for given, want := range map[string]string{
		"":                            "unknown",
		"kees":                        "kees",
		`ACME\kees`:                   `ACME\kees`,
		"a@b c\td\ne\x1bf":            "a_b_c_d_e_f",
		"zero\u200bwidth\u202e\u00a0": "zero_width__",
		"bad\xff":                     "bad_",
		strings.Repeat("é", 100):      strings.Repeat("é", 32),
		"a" + strings.Repeat("é", 99): "a" + strings.Repeat("é", 31),
	} {
		if got := processPart(given); got != want || len(got) > maxProcessPart || !utf8.ValidString(got) {
			t.Errorf("processPart(%q) = %q, want %q", given, got, want)
		}
	}
}
