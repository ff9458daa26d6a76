package crmstore

import (
	"fmt"
	"strings"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Erasure is what the mail about a permanent deletion says. It holds nothing about who the contacts were.
type Erasure struct {
	Account string
	Run     string // or what else stands for the one act
	User    string // who deleted
	To      string // that user's address
	Order   string // tells acts of one run apart; may be ""
	IDs     []record.ID
	At      time.Time
}

// idsInMail is how many ids a mail names; above it the audit log has them.
const idsInMail = 200

// Mail is the confirmation for the user who deleted. Its id follows from the run, the user and the order, so that
// an erasure which is finished twice is told once, and two orders of one run are told both.
func (e Erasure) Mail() Mail {
	what, them, addresses := "contact "+e.IDs[0].String()+" was", "It", "Its e-mail address, unless another contact has it,"
	if n := len(e.IDs); n > 1 {
		what, them, addresses = fmt.Sprintf("%d contacts were", n), "They", "Their e-mail addresses, unless other contacts have them,"
	}
	var ids []string
	for _, id := range e.IDs[:min(len(e.IDs), idsInMail)] {
		ids = append(ids, id.String())
	}
	listed := strings.Join(ids, ", ")
	if more := len(e.IDs) - len(ids); more > 0 {
		listed += fmt.Sprintf(" and %d more", more)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s%s permanently deleted on %s.\n\n", strings.ToUpper(what[:1]), what[1:], e.At.UTC().Format("2 January 2006 at 15:04:05 UTC"))
	for _, line := range [][2]string{{"account", e.Account}, {"deleted by", e.User}, {"run", e.Run}, {"contact ids", listed}} {
		fmt.Fprintf(&text, "%-12s %s\n", line[0]+":", line[1])
	}
	fmt.Fprintf(&text, "\n%s cannot be restored. %s\ncannot be imported or entered again until somebody takes the block away\n"+
		"(workflow blocklist remove ADDRESS).", them, addresses)
	fmt.Fprintf(&text, "\n\nYou get this mail because it was done under your name. If it was not you, tell whoever keeps the account.\n"+
		"What happened is in the audit log: workflow audit --run %s\n", e.Run)
	id := e.Run + "/" + e.User
	if e.Order != "" {
		id += "/" + e.Order
	}
	return Mail{ID: id, To: e.To, Subject: strings.ToUpper(what[:1]) + what[1:] + " permanently deleted", Text: text.String()}
}
