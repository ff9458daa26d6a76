package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow"
)

// TestVerbs holds the help of every verb to what a person needs.
func TestVerbs(t *testing.T) {
	t.Parallel()
	root := newRoot(newSession(&Command{}))
	for _, c := range withSubverbs(root) {
		name := c.CommandPath()
		if c.Short == "" || !strings.Contains(c.Example, "workflow ") {
			t.Errorf("%s has no short text or no example", name)
		}
		for line := range strings.Lines(c.Long) {
			if len(line) > 125 {
				t.Errorf("%s: a line of its help is %d wide", name, len(line))
			}
		}
		if c.Args == nil && c.Name() != "help" {
			t.Errorf("%s does not check its arguments", name)
		}
	}
}

// TestVerbs_ExamplesAreCalls checks that the examples in the help call verbs and flags that exist.
func TestVerbs_ExamplesAreCalls(t *testing.T) {
	t.Parallel()
	root := newRoot(newSession(&Command{}))
	for _, c := range withSubverbs(root) {
		for line := range strings.Lines(c.Example) {
			_, call, _ := strings.Cut(line, "workflow ")
			call, _, _ = strings.Cut(call, "#")
			call, _, _ = strings.Cut(call, ">")
			words := strings.Fields(strings.Trim(strings.TrimSpace(call), ")"))
			verb, rest, err := root.Find(words)
			if err != nil || verb == root {
				t.Errorf("%s: example %q calls no verb", c.CommandPath(), line)
				continue
			}
			checkFlags(t, verb, rest)
		}
	}
}

func checkFlags(t *testing.T, verb *cobra.Command, words []string) {
	t.Helper()
	for _, w := range words {
		name, isFlag := strings.CutPrefix(w, "--")
		name, _, _ = strings.Cut(name, "=")
		if isFlag && verb.Flags().Lookup(name) == nil && verb.InheritedFlags().Lookup(name) == nil {
			t.Errorf("%s has no flag --%s", verb.CommandPath(), name)
		}
	}
}

// TestConfirm answers the question in every way.
func TestConfirm(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]bool{"y\n": true, "YES\n": true, "n\n": false, "\n": false, "": false, "yep\n": false} {
		var talk bytes.Buffer
		s := newSession(&Command{Stdin: strings.NewReader(answer), StdinTerminal: true, Stderr: &talk})
		err := confirmPublish(s, "stale.yaml", exampleReview())
		if (err == nil) != want {
			t.Errorf("answer %q: %v", answer, err)
		}
		if !strings.Contains(talk.String(), "Publish revision 3 of stale and switch it on? It would delete 11,908 contacts now. [y/N]") {
			t.Errorf("asked %q", talk.String())
		}
	}
}

func exampleReview() *workflow.Review {
	return &workflow.Review{
		Workflow: "stale", Object: record.Contact, WouldDelete: 11908, Published: crmstore.Workflow{Revision: 2},
	}
}
