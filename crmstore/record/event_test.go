package record

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestFacts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := Deletion{
			At: time.UnixMilli(rapid.Int64Range(-1<<50, 1<<50).Draw(t, "ms")).UTC(),
			Cause: Cause{
				Actor: rapid.String().Draw(t, "actor"), Workflow: rapid.String().Draw(t, "workflow"),
				Revision: rapid.IntRange(0, 1<<30).Draw(t, "revision"), Run: rapid.String().Draw(t, "run"),
				Reason: rapid.String().Draw(t, "reason"), From: rapid.String().Draw(t, "from"),
			},
		}
		got, err := ParseFacts(AppendFacts(nil, want.At, want.Cause))
		if err != nil || !cmp.Equal(want, got) {
			t.Fatalf("got %+v, %v; want %+v", got, err, want)
		}
		without := want.Cause
		without.From = ""
		if got, err := ParseFacts(append(AppendFacts(nil, want.At, without), FromFact(want.From)...)); err != nil || !cmp.Equal(want, got) {
			t.Fatalf("completed facts: got %+v, %v; want %+v", got, err, want)
		}
	})
}

func FuzzFacts(f *testing.F) {
	f.Add(AppendFacts(nil, time.Unix(1, 0), Cause{Actor: "a", Workflow: "w", Revision: 2, Run: "r", Reason: "why"}))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = ParseFacts(b) })
}
