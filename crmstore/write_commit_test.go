package crmstore

import "testing"

// Records that need an old claim are not written: somebody else may take the claim over at any moment.
func TestInTime(t *testing.T) {
	t.Parallel()
	claims, plain := &draft{claim: &address{}}, &draft{}
	acts := []act{{partition: 1, drafts: []*draft{claims}}, {partition: 2, drafts: []*draft{plain, claims}}}
	if got := inTime(acts, 1, 1); len(got) != 2 || claims.lost {
		t.Errorf("%d acts with young claims, want both", len(got))
	}
	got := inTime(acts, 1, 1+claimPatience.Milliseconds())
	if len(got) != 1 || got[0].partition != 2 || len(got[0].drafts) != 1 || got[0].drafts[0] != plain || !claims.lost || plain.lost {
		t.Errorf("acts with old claims: %+v", got)
	}
}
