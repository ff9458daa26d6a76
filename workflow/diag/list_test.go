package diag

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCodes_AreUniqueAndSayWhy(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	last := ""
	for _, c := range Codes() {
		if seen[c.ID] {
			t.Errorf("%s stands twice", c.ID)
		}
		seen[c.ID] = true
		if c.ID <= last {
			t.Errorf("%s stands after %s", c.ID, last)
		}
		last = c.ID
		if c.Title == "" || c.Explain == "" || strings.HasSuffix(c.Title, ".") || !strings.HasSuffix(c.Explain, ".") {
			t.Errorf("%s needs a title without and an explanation with a full stop: %q, %q", c.ID, c.Title, c.Explain)
		}
		if found, ok := Find(c.ID); !ok || found != c {
			t.Errorf("Find(%s) = %v, %v", c.ID, found, ok)
		}
	}
	if _, ok := Find("WF999"); ok {
		t.Error("Find(WF999) found something")
	}
}

func TestList_Tidy(t *testing.T) {
	t.Parallel()
	l := List{
		{Code: UnknownKey, File: "b", Pos: Pos{2, 1}, Message: "x"},
		{Code: UnknownKey, File: "a", Pos: Pos{2, 3}, Message: "x"},
		{Code: AlwaysTrue, File: "a", Pos: Pos{2, 3}, Message: "y"},
		{Code: UnknownKey, File: "a", Pos: Pos{2, 3}, Message: "x"},
		{Code: Empty, File: "a", Message: "z"},
	}
	var got []string
	for _, f := range l.Tidy() {
		got = append(got, f.String())
	}
	want := []string{"a: z [WF106]", "a:2:3: x [WF110]", "a:2:3: warning: y [WF121]", "b:2:1: x [WF110]"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if e, w := l.Count(); e != 4 || w != 1 {
		t.Errorf("Count() = %d, %d, want 4, 1", e, w)
	}
	if l[0].File != "b" {
		t.Error("Tidy changed the list it was called on")
	}
}

func TestList_TidyKeepsAHundredForEachFile(t *testing.T) {
	t.Parallel()
	var l List
	for i := range 250 {
		code := AlwaysTrue
		if i == 240 {
			code = UnknownKey
		}
		l = append(l, Finding{Code: code, File: "a", Pos: Pos{i + 1, 1}, Message: fmt.Sprint(i)})
		if i < 101 {
			l = append(l, Finding{Code: AlwaysTrue, File: "b", Pos: Pos{i + 1, 1}, Message: "m"})
		}
	}
	tidy := l.Tidy()
	if len(tidy) != 202 {
		t.Fatalf("%d findings are left, want 101 + 101", len(tidy))
	}
	if got, want := tidy[100].Message, "150 more findings are not shown"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if tidy[100].Code.Severity != Error || !tidy.HasErrors() {
		t.Error("an error was left out, and the list has no errors any more")
	}
	if got, want := tidy[201].Message, "1 more finding is not shown"; got != want || tidy[201].Code.Severity != Warning {
		t.Errorf("got %q (%s), want %q (warning)", got, tidy[201].Code.Severity, want)
	}
	if diff := cmp.Diff(tidy, tidy.Tidy()); diff != "" {
		t.Errorf("tidying twice differs from once:\n%s", diff)
	}
}

func TestList_JSON(t *testing.T) {
	t.Parallel()
	l := List{{Code: AlwaysTrue, File: "a.yaml", Pos: Pos{3, 5}, End: Pos{3, 9}, Message: "m", Help: "h"}}
	got, err := json.Marshal(map[string]any{"findings": l, "none": List(nil)})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"findings":[{"code":"WF121","severity":"warning","file":"a.yaml","line":3,"col":5,"end_line":3,"end_col":9,"message":"m","help":"h"}],"none":[]}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
