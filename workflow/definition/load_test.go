package definition

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/actions"
	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/triggers"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// defaultVocabulary is what a new account with one static list knows. It has no calls.
func defaultVocabulary(o record.ObjectType) triggers.Vocabulary {
	if o == record.Call {
		return triggers.Vocabulary{}
	}
	return triggers.Vocabulary{
		Schema: record.NewSchema(o, 1, record.DefaultProperties(o)),
		Lists:  map[string]crmstore.List{"keep": {Number: 1, Name: "keep"}},
	}
}

func rendered(t *testing.T, file string, source []byte, findings diag.List) string {
	t.Helper()
	var b bytes.Buffer
	p := diag.Printer{Sources: map[string][]byte{file: source}}
	if err := p.Print(&b, findings); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func goldens(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(files), err)
	}
	return files
}

func TestLoad_GoodFilesAreSilent(t *testing.T) {
	t.Parallel()
	for _, path := range goldens(t, "testdata/good/*.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			source := readFile(t, path)
			d, findings := Load(filepath.Base(path), source, defaultVocabulary)
			if len(findings) > 0 || d == nil {
				t.Fatalf("want no findings, got\n%s", rendered(t, filepath.Base(path), source, findings))
			}
			if !bytes.Equal(d.Source, source) || d.File != filepath.Base(path) {
				t.Errorf("file %q, source of %d bytes; want %q, %d", d.File, len(d.Source), filepath.Base(path), len(source))
			}
		})
	}
}

func TestLoad_BadFilesSayWhy(t *testing.T) {
	t.Parallel()
	for _, path := range goldens(t, "testdata/bad/*.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			file, source := filepath.Base(path), readFile(t, path)
			d, findings := Load(file, source, defaultVocabulary)
			if (d == nil) != findings.HasErrors() {
				t.Errorf("definition %v with findings\n%s", d, rendered(t, file, source, findings))
			}
			got := rendered(t, file, source, findings)
			code, _, _ := strings.Cut(file, "_")
			if !strings.Contains(got, "["+code+"]") {
				t.Errorf("%s is not among the findings:\n%s", code, got)
			}
			golden := strings.TrimSuffix(path, ".yaml") + ".out"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(readFile(t, golden)), got); diff != "" {
				t.Errorf("differs from %s; go test -update writes it (-want +got):\n%s", golden, diff)
			}
		})
	}
}

func TestLoad_EveryCodeHasABadFile(t *testing.T) {
	t.Parallel()
	have := map[string]bool{
		"WF103": true, // TestLoad_LargeFilesAreRefusedUnread: a megabyte is no golden
		"WF127": true, // found in published revisions alone
		"WF409": true, // TestCheckCeiling: only an account has a ceiling
		"WF410": true, // the same
	}
	for _, path := range goldens(t, "testdata/bad/*.yaml") {
		code, _, _ := strings.Cut(filepath.Base(path), "_")
		have[code] = true
		if _, ok := diag.Find(code); !ok {
			t.Errorf("%s: there is no such code", path)
		}
	}
	for _, code := range diag.Codes() {
		if !have[code.ID] && !strings.HasPrefix(code.ID, "WF2") {
			t.Errorf("%s (%s) has no testdata/bad/%s_*.yaml", code.ID, code.Title, code.ID)
		}
	}
	for _, path := range goldens(t, "testdata/bad/*.out") {
		if _, err := os.Stat(strings.TrimSuffix(path, ".out") + ".yaml"); err != nil {
			t.Errorf("%s has no file that it belongs to", path)
		}
	}
}

const minimal = "workflow: a\nobject: contact\nenroll:\n  triggers:\n    - known(contact.email)\nactions:\n  - delete_contact\n"

func mustLoad(t *testing.T, source string) *Definition {
	t.Helper()
	d, findings := Load("test.yaml", []byte(source), defaultVocabulary)
	if d == nil {
		t.Fatalf("%s\n%s", source, rendered(t, "test.yaml", []byte(source), findings))
	}
	return d
}

func TestLoad_Defaults(t *testing.T) {
	t.Parallel()
	d := mustLoad(t, minimal)
	if d.Name != "a" || d.Title != "a" || d.Description != "" || d.Object != record.Contact {
		t.Errorf("words: %q %q %q %q", d.Name, d.Title, d.Description, d.Object)
	}
	if d.Reenroll || !d.Existing || d.Schedule != nil || d.Missed != MissedOnce {
		t.Errorf("reenroll %v, existing %v, schedule %v, missed %q", d.Reenroll, d.Existing, d.Schedule, d.Missed)
	}
	if (d.Limits != Limits{MaxDeletions: 1000, MaxPercent: 10}) {
		t.Errorf("limits: %v", d.Limits)
	}
	if len(d.Actions) != 1 || d.Actions[0].Spec.Name != "delete_contact" || (d.Actions[0].Pos != diag.Pos{Line: 7, Col: 5}) {
		t.Errorf("actions: %v", d.Actions)
	}
	if len(d.Trigger.Any) != 1 || len(d.Trigger.Suppress) != 0 || d.Trigger.Object != record.Contact || d.Trigger.Vocabulary.Schema == nil {
		t.Errorf("trigger: %v", d.Trigger)
	}
}

func TestLoad_Everything(t *testing.T) {
	t.Parallel()
	d := mustLoad(t, string(readFile(t, "testdata/good/everything.yaml")))
	if d.Name != "delete-stale-contacts" || d.Title != "Delete stale contacts" || !strings.HasPrefix(d.Description, "Contacts nobody") {
		t.Errorf("words: %q %q %q", d.Name, d.Title, d.Description)
	}
	if !d.Reenroll || d.Existing || d.Missed != MissedSkip || (d.Limits != Limits{MaxDeletions: 250, MaxPercent: 2.5, MaxPerSecond: 40}) {
		t.Errorf("reenroll %v, existing %v, missed %q, limits %v", d.Reenroll, d.Existing, d.Missed, d.Limits)
	}
	if d.Schedule.String() != "0 3 * * * Europe/Amsterdam" || d.Trigger.Vocabulary.Zone.String() != "Europe/Amsterdam" {
		t.Errorf("schedule %s, zone of expressions %s", d.Schedule, d.Trigger.Vocabulary.Zone)
	}
	if len(d.Trigger.Any) != 2 || len(d.Trigger.Suppress) != 2 {
		t.Errorf("%d triggers, %d suppressions", len(d.Trigger.Any), len(d.Trigger.Suppress))
	}
}

func TestDefinition_Same(t *testing.T) {
	t.Parallel()
	written := minimal + "schedule: {cron: \"0 3 * * *\"}\n"
	d := mustLoad(t, written)
	for what, c := range map[string]struct {
		source string
		same   bool
	}{
		"itself":           {written, true},
		"defaults written": {written + "title: a\nlimits: {max_deletions: 1000, max_percent: 10.0}\n", true},
		"order and quotes": {"actions: ['delete_contact']\nschedule:\n  timezone: UTC\n  missed: once\n  cron: '0 3 * * *'\nenroll:\n  existing: true\n  triggers:\n  - |\n    known(contact.email)\nobject: contact # comment\nworkflow: \"a\"\n", true},
		"Windows line ends and a byte order mark": {"\ufeff" + strings.ReplaceAll(written, "\n", "\r\n"), true},
		"another trigger":                         {strings.Replace(written, "known(contact.email)", "unknown(contact.email)", 1), false},
		"another limit":                           {written + "limits: {max_deletions: 1001}\n", false},
		"another title":                           {written + "title: b\n", false},
		"another zone":                            {strings.Replace(written, "cron:", "timezone: Europe/Berlin, cron:", 1), false},
		"no schedule":                             {minimal, false},
		"enrolls again":                           {strings.Replace(written, "enroll:\n", "enroll:\n  reenroll: true\n", 1), false},
	} {
		if got := mustLoad(t, c.source).Same(d); got != c.same {
			t.Errorf("%s: Same = %v, want %v", what, got, c.same)
		}
	}
	spaces := func(s string) *Definition {
		return mustLoad(t, strings.Replace(written, "known(contact.email)", `'contact.firstname == "`+s+`"'`, 1))
	}
	if spaces("a b").Same(spaces("a  b")) {
		t.Error("spaces inside a text of an expression make no difference, and they should")
	}
}

func TestLoad_LargeFilesAreRefusedUnread(t *testing.T) {
	t.Parallel()
	large := bytes.Repeat([]byte("a: &a [*a]\n"), 1<<20)
	d, findings := Load("large.yaml", large, defaultVocabulary)
	if d != nil || len(findings) != 1 || findings[0].Code.ID != "WF103" {
		t.Errorf("definition %v, findings %v; want one WF103", d, findings)
	}
	d, findings = Load("large.yaml", []byte(minimal+strings.Repeat("#234567\n", 1<<17)[:1<<20-len(minimal)]), defaultVocabulary)
	if d == nil {
		t.Errorf("exactly 1 MiB: %v", findings)
	}
}

// Files made to keep the reader busy are refused, and four times the bytes take about four times the work: where it grows
// with the square, it would take sixteen. The two sizes are compared in one run, so that a busy machine slows both.
func TestLoad_HostileFiles(t *testing.T) {
	t.Parallel()
	const size = 1<<17 - 100 // an eighth of what is read at most
	small := hostileFiles(size / 4)
	for what, source := range hostileFiles(size) {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			var most float64
			for range 5 {
				large, findings := refusalTime(t, source)
				quarter, _ := refusalTime(t, small[what])
				growth := float64(large) / float64(max(quarter, 20*time.Millisecond)) // below that, other work of the machine weighs more
				if growth < 10 {
					t.Log(growth, findings[0].Code.ID, findings[0].Pos)
					return
				}
				most = max(most, growth)
			}
			t.Errorf("four times the bytes take up to %.0f times as long, in each of five tries at least 10 times", most)
		})
	}
}

// refusalTime loads a file that must be refused, and says how long that took with showing why.
func refusalTime(t *testing.T, source string) (time.Duration, diag.List) {
	t.Helper()
	began := time.Now()
	d, findings := Load("hostile.yaml", []byte(source), defaultVocabulary)
	if d != nil || !findings.HasErrors() || len(findings) > diag.MaxPerFile+1 {
		t.Fatalf("definition %v with %d findings", d != nil, len(findings))
	}
	rendered(t, "hostile.yaml", []byte(source), findings)
	return time.Since(began), findings
}

// hostileFiles are files of about so many bytes each, made to keep the reader busy.
func hostileFiles(size int) map[string]string {
	fill := func(s string) string { return strings.Repeat(s, size/len(s)) }
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		p := string(c - 1)
		bomb += string(c) + ": &" + string(c) + " [*" + strings.Repeat(p+",*", 8) + p + "]\n"
	}
	return map[string]string{
		"alias bomb":           bomb,
		"brackets":             fill("["),
		"lines of brackets":    fill(strings.Repeat("[", 5000) + "\n"),
		"lines of braces":      fill(strings.Repeat("{a: ", 2000) + "\n"),
		"dashes":               strings.Repeat("- ", 4000),
		"question marks":       strings.Repeat("? ", 4000),
		"flow keys":            "{" + numbered("a%d: b, ", 9000) + fill("\n "+strings.Repeat("c: d, ", 1500)) + "}",
		"long lines":           fill(strings.Repeat("x", 20000) + "\n"),
		"keys":                 fill("key: v\n"),
		"different keys":       numbered("key%d: v\n", size),
		"different near keys":  numbered("titl%d: v\n", size),
		"directives":           numbered("%%TAG !%d! x\n", size),
		"comments":             fill("#\n"),
		"long key":             fill("k") + ": v",
		"spaces in quotes":     "title: \"" + fill(" ") + "\"",
		"long expression":      strings.Replace(minimal, "known(contact.email)", "'"+fill("a ")+"'", 1),
		"triggers":             strings.Replace(minimal, "    - known(contact.email)\n", fill("    - x\n"), 1),
		"nested expression":    strings.Replace(minimal, "known(contact.email)", "'"+fill("(")+"'", 1),
		"lines":                fill("\n"),
		"open quotes":          "title: '" + fill("a\n"),
		"unfit lines":          "title: b\n" + fill(" - a\nb: c\n"),
		"tabs":                 fill("\ta: b\n"),
		"anchors":              "a: [" + numbered("&a%d x,\n ", size) + "]",
		"control characters":   fill("\x01"),
		"control lines":        fill(strings.Repeat("\x01", 9000) + "\n"),
		"documents":            fill("---\n"),
		"long cron":            minimal + "schedule:\n  cron: \"" + fill("* ") + "\"",
		"long zone":            minimal + "schedule:\n  cron: '@daily'\n  timezone: " + fill("x"),
		"long numbers":         minimal + "limits:\n  max_deletions: " + fill("9"),
		"folded blank lines":   "description: >\n  a" + fill("\n") + "  b\n",
		"quoted blank lines":   "title: \"" + fill("\n") + "\"",
		"escaped line breaks":  "title: \"" + fill("\\\n") + "\"",
		"many short multiline": "x: [" + fill("'a\n ',") + "]",
	}
}

func numbered(format string, size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size-20; i++ {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestActions_ExamplesLoad(t *testing.T) {
	t.Parallel()
	for _, s := range actions.Builtin() {
		if d, findings := Load(s.Name, []byte(s.Example), defaultVocabulary); d == nil || len(findings) > 0 {
			t.Errorf("%s: the example has findings:\n%s", s.Name, rendered(t, s.Name, []byte(s.Example), findings))
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*.yaml", "testdata/bad/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range files {
			b, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		d, findings := Load("fuzz.yaml", source, defaultVocabulary)
		if (d == nil) != findings.HasErrors() {
			t.Fatalf("definition %v with findings %v", d, findings)
		}
		lines := diag.NewSource("", source).Lines()
		for _, f := range findings {
			if f.Pos.Line > lines || f.Message == "" || (f.End.Line != 0 && (f.End.Line < f.Pos.Line || f.End.Line == f.Pos.Line && f.End.Col < f.Pos.Col)) {
				t.Fatalf("finding %+v in a file of %d lines", f, lines)
			}
		}
		rendered(t, "fuzz.yaml", source, findings)
		if d != nil && !d.Same(d) {
			t.Fatal("a definition differs from itself")
		}
	})
}
