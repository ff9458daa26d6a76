package crmstore

import (
	"os"
	"os/user"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/crm-workflow/crm-workflow/crmstore/unseen"
)

// maxProcessPart is the most of a user's or a host's name that the audit log keeps, in bytes.
const maxProcessPart = 64

// processOwner is the operating system's user and the host of this process, as user@host. The acting user is what the caller
// says; this is what the machine says. Neither is a proof: whoever reaches the server can write anything.
func processOwner() string {
	name := "uid-" + strconv.Itoa(os.Getuid())
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	return processPart(name) + "@" + processPart(host)
}

// processPart is a name on one line without blanks, @ and what nobody sees, cut to what the log keeps; "unknown" for none.
func processPart(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == '@' || r == utf8.RuneError || unicode.IsSpace(r) || unseen.Is(r) || unseen.Blank(r) {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(name, "_"))
	if len(name) > maxProcessPart {
		name = strings.ToValidUTF8(name[:maxProcessPart], "")
	}
	if name == "" {
		return "unknown"
	}
	return name
}
