package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// answer is the next line that a person types.
func (s *session) answer() string {
	text, err := bufio.NewReader(s.in).ReadString('\n')
	if err != nil && text == "" {
		s.err.printf("\n")
	}
	return strings.TrimSpace(text)
}

// askYes asks at the terminal and refuses unless the answer is yes. refusal says what the verb did not do.
func (s *session) askYes(question, refusal string) error {
	if err := s.out.flush(); err != nil {
		return err
	}
	s.err.printf("%s [y/N] ", question)
	switch strings.ToLower(s.answer()) {
	case "y", "yes":
		return nil
	}
	return refusedf("", "%s", refusal)
}

// notYes refuses for an answer other than yes.
const notYes = "the answer was not yes; nothing was changed"

// yesOrElse has a person say yes to a question. Without a terminal it is a usage error: call is the call that asks no
// question, and without says what was not done.
func yesOrElse(s *session, question, call, without string) error {
	if !s.command.StdinTerminal {
		return usagef(call, "%s", without)
	}
	return s.askYes(question, notYes)
}

// typedCount asks at the terminal for a number; with or without its separators.
func (s *session) typedCount(question string) (int64, error) {
	if err := s.out.flush(); err != nil {
		return 0, err
	}
	s.err.printf("%s", question)
	text := s.answer()
	n, err := strconv.ParseInt(strings.ReplaceAll(text, ",", ""), 10, 64)
	if err != nil || n < 0 {
		return 0, refusedf("", "no number was typed; nothing was changed")
	}
	return n, nil
}

// naming is how a verb names records: an object type, arguments, and perhaps a file of ids.
type naming struct {
	object record.ObjectType
	words  []string // ids, and for contacts e-mail addresses
	file   string   // the same, one a line; "" = none, - = stdin
	skip   bool     // addresses that no live contact has are left out, instead of refused
}

// namedIDs are the ids of the records, some perhaps twice. An id need not be that of a record.
func namedIDs(ctx context.Context, w *work, n naming) ([]record.ID, error) {
	ids, addresses, err := argumentIDs(n.object, n.words)
	if err != nil {
		return nil, err
	}
	if n.file != "" {
		moreIDs, moreAddresses, err := readIDs(ctx, w.session, n.object, n.file)
		if err != nil {
			return nil, err
		}
		ids, addresses = append(ids, moreIDs...), append(addresses, moreAddresses...)
	}
	found, err := findAddresses(ctx, w.store, addresses, n.skip)
	return append(ids, found...), err
}

// argumentIDs are the ids and the addresses among arguments.
func argumentIDs(o record.ObjectType, words []string) (ids []record.ID, addresses []string, err error) {
	return parseIDs(o, "", strings.NewReader(strings.Join(words, "\n")))
}

// unique is the ids in their order, each once.
func unique(ids []record.ID) []record.ID {
	seen := make(map[record.ID]bool, len(ids))
	return slices.DeleteFunc(ids, func(id record.ID) bool {
		again := seen[id]
		seen[id] = true
		return again
	})
}

// findAddresses are the contacts with the addresses. Addresses that no live contact has are a refusal, unless they are
// to be skipped.
func findAddresses(ctx context.Context, store *crmstore.Store, addresses []string, skip bool) ([]record.ID, error) {
	var ids []record.ID
	var unknown []string
	for part := range slices.Chunk(addresses, addressesAtOnce) {
		found, err := store.FindByEmails(ctx, part)
		if err != nil {
			return nil, err
		}
		for i, id := range found {
			if id != 0 {
				ids = append(ids, id)
			} else if !skip {
				unknown = append(unknown, part[i])
			}
		}
	}
	if len(unknown) == 0 {
		return ids, nil
	}
	text := strings.Join(unknown[:min(len(unknown), shownAddresses)], ", ")
	if more := len(unknown) - shownAddresses; more > 0 {
		text += fmt.Sprintf(" and %s more", count(more))
	}
	return nil, &problem{
		code: exitRefused, reason: "not-found", message: "no live contact has the e-mail address " + text + "; nothing was changed",
		help: "a contact in the recycle bin is found by its id: workflow bin",
	}
}

const (
	addressesAtOnce = 4096 // looked up in one call
	shownAddresses  = 10   // named in an error
)

// readIDs reads a file of ids, one a line; of contacts also e-mail addresses. "-" is stdin. Empty lines, and a first
// line that is the heading of an export, do not count.
func readIDs(ctx context.Context, s *session, o record.ObjectType, file string) (ids []record.ID, addresses []string, err error) {
	if file == "-" {
		return parseIDs(o, "stdin", patient(ctx, s.in))
	}
	f, _, err := openFile(ctx, file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, usagef("", "there is no file %s", file)
	}
	if err != nil {
		return nil, nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	return parseIDs(o, file, f)
}

// parseIDs reads ids and addresses, one a line. name is the file's, for errors; "" for arguments.
func parseIDs(o record.ObjectType, name string, in io.Reader) (ids []record.ID, addresses []string, err error) {
	lines := bufio.NewScanner(in)
	for number := 1; lines.Scan(); number++ {
		word := strings.Trim(strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff")), `"`)
		switch {
		case word == "", name != "" && number == 1 && strings.EqualFold(word, "record id"):
		case o == record.Contact && record.MeansAddress(word):
			if _, err := record.NormalAddress(word); err != nil && name == "" {
				return nil, nil, usagef(addressHelp, "%q is %v", word, err)
			} else if err != nil {
				return nil, nil, usagef(addressHelp, "%s:%d: %q is %v", name, number, word, err)
			}
			addresses = append(addresses, word)
		default:
			id, err := record.ParseID(word)
			if err != nil && name == "" {
				return nil, nil, usagef("", "%v", err)
			}
			if err != nil {
				return nil, nil, usagef("the file has one id a line", "%s:%d: %v", name, number, err)
			}
			ids = append(ids, id)
		}
	}
	return ids, addresses, lines.Err()
}
