package spelling

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	words := []string{"email", "firstname", "lastname", "lifecyclestage", "phone", "createdate", "id"}
	for word, want := range map[string]string{
		"email": "email", "emial": "email", "Email": "email", "mail": "email", "emails": "email",
		"frstnme": "firstname", "lifecycle_stage": "lifecyclestage", "LifecycleStage": "lifecyclestage",
		"creatdate": "createdate", "fax": "", "zzz": "", "": "", "x": "", "ix": "id", "iid": "id",
		strings.Repeat("e", 200): "",
	} {
		if got := Nearest(word, words); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

// Of several lists and words the nearest is chosen, and of equally near ones the first.
func TestNearest_ChoosesTheBest(t *testing.T) {
	t.Parallel()
	if got := Nearest("firstnam", []string{"firstnab", "lastname"}, []string{"firstname", "firstnamm"}); got != "firstnab" {
		t.Errorf("of equally near words: got %q, want the first", got)
	}
	if got := Nearest("fristname", []string{"firstnamen"}, []string{"firstname"}); got != "firstname" {
		t.Errorf("got %q, want the nearest, in the second list", got)
	}
}
