package record

import (
	"fmt"

	"github.com/crm-workflow/crm-workflow/crmstore/unseen"
)

// CheckSeen refuses a name or a label with a character that nobody sees, or that only looks like a blank: it would look like
// another one, and an expression that speaks of the one would mean the other.
func CheckSeen(what, name string) error {
	if _, r, found := unseen.In(name); found {
		return fmt.Errorf("%s %q: the character %U %s", what, name, r, unseen.Word(r))
	}
	return nil
}
