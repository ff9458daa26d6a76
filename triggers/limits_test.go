package triggers

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// What a stranger's expression may cost. Far above what any good one takes, far below what hurts.
const (
	compileTime   = 3 * time.Second
	compileMemory = 128 << 20
	recordTime    = 2 * time.Second
	recordMemory  = 64 << 20
)

// costly are expressions that were built to eat memory or time.
func costly() []string {
	chain, doubled := "contact.total_revenue", `let a0 = "aaaaaaaaaa"; `
	for range 12 {
		chain = "(0 < " + chain + " < 9 ? 1 : 2)"
	}
	deep := "1"
	for range 300 {
		deep = "(0<" + deep + "<9?1:2)"
	}
	for i := range 29 {
		doubled += "let a" + string(rune('b'+i)) + " = a0 + a0; "
	}
	return []string{
		canonical,
		`reduce(1..300, #acc + #acc, "aaaaaaaaaa") == ""`,
		`replace(repeat("a", 1000000), "a", repeat("a", 1000000)) == contact.email`,
		doubled + `a0 == contact.email`,
		`1..1000000000 == contact.email`,
		`filter(1..1000000, {# > 1}) == contact.email`,
		`contact.email matches "(x+x+)+y" || contact.email matches "` + strings.Repeat("(a|b)", 300) + `"`,
		`contact.email matches "((a{100}){10}){10}" && contact.email matches "\\pL{1000}"`,
		strings.Repeat("(", 2000) + "contact.bounced" + strings.Repeat(")", 2000),
		strings.Repeat("!", 4000) + "contact.bounced",
		strings.Repeat("-", 4000) + "1 < contact.total_revenue",
		chain + " == 1", deep + " == contact.total_revenue", "contact.total_revenue + " + deep + " == 1",
		nestedChoice(12), nestedChoice(60),
		strings.Repeat("lower(", 60) + "contact.email" + strings.Repeat(")", 60) + ` == "x"`,
		strings.Repeat("unknownname || ", 250) + "contact.bounced",
		`contact.` + strings.Repeat("x", 4000) + ` == 1`,
		`contact["` + strings.Repeat(`é`, 1800) + `"] == 1`,
		`contact.total_revenue in [` + strings.Repeat("1,", 900) + `2]`,
		"contact.email == '\x00'", "contact.email == `a`", "contact.email == b'a'", "\ufeffcontact.bounced", "::now() > contact.createdate", "contact.email | lower() | lower() == \"x\"",
		"contact.createdate > date(\"0000-01-01\")", `duration("99999999999999999999w") > now - contact.createdate`,
	}
}

// spent runs fn and fails when it costs more than allowed.
func spent(tb testing.TB, what, source string, duration time.Duration, memory uint64, fn func()) {
	tb.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	fn()
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	if took > duration || after.TotalAlloc-before.TotalAlloc > memory {
		tb.Errorf("%s took %s and %d bytes: %.200s", what, took, after.TotalAlloc-before.TotalAlloc, source)
	}
}

// limited compiles source and, when it is good, tests a record of long texts, all within limits.
func limited(tb testing.TB, source, text string) {
	tb.Helper()
	v := testVocabulary()
	var e *Expr
	var findings diag.List
	spent(tb, "compiling", source, compileTime, compileMemory, func() { e, findings = Compile(diag.NewText("", source, nil), v) })
	if (e == nil) != (len(findings) > 0) {
		tb.Fatalf("%.200s: an expression (%t) with findings %v", source, e != nil, findings)
	}
	for _, f := range findings {
		if f.Message == "" || f.Code.ID == "" || f.End.Line < f.Pos.Line || f.End.Line == f.Pos.Line && f.End.Col < f.Pos.Col {
			tb.Fatalf("%.200s: finding %+v", source, f)
		}
	}
	if e == nil {
		return
	}
	trigger := Trigger{Object: record.Contact, Any: []*Expr{e}, Vocabulary: v}
	r := recordOf(tb, v.Schema, values{"email": text, "city": "x", "total_revenue": "3", "createdate": "2026-01-01T00:00:00Z", "bounced": "true"})
	var m *Matcher
	spent(tb, "planning", source, compileTime, compileMemory, func() {
		var err error
		if m, err = trigger.At(at(tb, "2026-06-15T12:00:00Z")); err != nil {
			tb.Fatal(err)
		}
		_ = m.Plan().String()
	})
	var verdict Verdict
	spent(tb, "testing a record", source, recordTime, recordMemory, func() { verdict = m.judge(r) })

	normal, findings := Compile(diag.NewText("", e.Normal(), nil), v)
	if normal == nil {
		if id := findings[0].Code.ID; id != diag.ExprTooLarge.ID && id != diag.ExprNoProperty.ID {
			tb.Fatalf("%s\nhas the normal form %s\nwhich does not compile: %v", source, e.Normal(), findings)
		}
		return
	}
	m.env.setRecord(r)
	if got := normal.test(m.env); got != answer(verdict.Match) {
		tb.Fatalf("%s is %t, its normal form %s is %s", source, verdict.Match, e.Normal(), got)
	}
}

// TestCostly is not parallel: it measures memory.
func TestCostly(t *testing.T) { //nolint:paralleltest // it measures what the whole process allocates
	for _, source := range costly() {
		limited(t, source, strings.Repeat("xab", 5000))
	}
}

func FuzzCompile(f *testing.F) {
	for _, source := range costly() {
		f.Add(source)
	}
	f.Fuzz(func(t *testing.T, source string) { limited(t, source, "ann@example.com") })
}

func FuzzEvaluate(f *testing.F) {
	for _, source := range []string{canonical, `contact.email matches "^(a|b)*$"`, `lower(contact.email) contains "x" ? true : known(contact.city)`} {
		f.Add(source, "ann@example.com")
	}
	f.Fuzz(func(t *testing.T, source, text string) { limited(t, source, text[:min(len(text), 64<<10)]) })
}
