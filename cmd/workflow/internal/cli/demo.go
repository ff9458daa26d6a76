package cli

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/examples"
)

//go:embed demo.yaml
var demoWorkflow []byte

// The demo's instant lies a day after the last purchase in its contacts.
const (
	demoFile = "one-time-buyers.yaml"
	demoNow  = "1998-07-01"
	demoRun  = "one-time-buyers@1998-07-01T00:00:00Z.1"
	// demoCount is how many contacts the run deletes, as the review before it says.
	demoCount = "11908"
)

// demoStep is one command of the story, with the sentence that leads to it.
type demoStep struct {
	say  string
	args []string // nil: the workflow file is shown
	code int      // the exit code that it ends in
}

func demoSteps() []demoStep {
	return []demoStep{
		{"An account, in a store that lives in memory until this demo ends.", words("account create --partitions 16"), exitGood},
		{"Its contacts: 23,570 customers of a real online shop, from January 1997 to June 1998.", words("records import cdnow-contacts.csv --create-properties"), exitGood},
		{"A workflow is a file. This one is for people who bought once and were not seen for a year.", nil, exitGood},
		{"Before anything happens: who would be deleted on the first of July 1998?", words("review " + demoFile + " --now " + demoNow + " --sample 5"), exitGood},
		{"Switch it on.", words("publish " + demoFile + " --yes"), exitGood},
		{"Run it as of that day. Half of all contacts is more than the limits allow, so that the run is held.", words("run one-time-buyers --now " + demoNow), exitRefused},
		{"Somebody looks at whom it would delete, and lets it go on by typing their number.", words("approve " + demoRun + " --confirm " + demoCount), exitGood},
		{"Everybody is in the recycle bin, for 90 days.", words("bin --limit 4"), exitGood},
		{"Who did what to one of them, and why?", words("audit --record 1"), exitGood},
		{"What does the workflow say of a contact that stayed?", words("why one-time-buyers 3 --now " + demoNow), exitGood},
		{"A mistake? The whole run can be undone.", words("undo " + demoRun), exitGood},
		{"All are back, exactly as they were, and the next run does not delete them again.", words("run one-time-buyers --now " + demoNow), exitGood},
		{"And everything that the store derives from its records agrees with them.", words("doctor"), exitGood},
	}
}

func words(line string) []string { return strings.Fields(line) }

func demoCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Annotations: map[string]string{accessNote: reads},
		Use:         "demo", Short: "the whole story in ten seconds, on sample contacts in memory",
		Long: "demo imports sample contacts into a store in memory and goes through it all: review, publish, a run that a limit\n" +
			"holds, approve, recycle bin, audit, undo. It shows each command as you would type it. Nothing is kept.",
		Example: "  workflow demo", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			store, err := crmstore.Open(cmd.Context(), crmstore.Config{URL: "memory", User: s.user()})
			if err != nil {
				return err
			}
			err = playDemo(cmd.Context(), &work{session: s, store: store})
			if e := store.Close(); err == nil {
				err = e
			}
			return err
		},
	}
}

// playDemo carries the steps out through the verbs themselves. They share one store.
func playDemo(ctx context.Context, w *work) error {
	files, err := demoFiles()
	if err != nil {
		return err
	}
	var doc demoDocument
	for i, step := range demoSteps() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !w.json() {
			sayStep(w.session, i+1, step)
		}
		if step.args == nil {
			continue
		}
		result, code := carryOut(ctx, w, files, step.args)
		if code != step.code {
			return failedf("", "the demo's command workflow %s ended with exit code %d, not %d", strings.Join(step.args, " "), code, step.code)
		}
		doc.Steps = append(doc.Steps, demoResult{Command: "workflow " + strings.Join(step.args, " "), Exit: code, Result: result})
	}
	w.emit(doc, func(o *output) {
		o.printf("\nNow with your own contacts, in a store that stays (it needs redis-server or valkey-server on PATH):\n\n")
		for _, line := range []string{"account create", "records import contacts.csv", "review stale.yaml", "publish stale.yaml", "daemon"} {
			o.printf("  %s\n", o.paint(cyan, "workflow "+line))
		}
	})
	return nil
}

// demoDocument is the demo for programs.
type demoDocument struct {
	Steps []demoResult `json:"steps"`
}

type demoResult struct {
	Command string          `json:"command"`
	Exit    int             `json:"exit_code"`
	Result  json.RawMessage `json:"result"`
}

func sayStep(s *session, number int, step demoStep) {
	if number > 1 {
		s.out.printf("\n")
	}
	s.out.printf("%s\n", s.out.paint(bold, count(number)+". "+step.say))
	if step.args != nil {
		s.out.printf("%s\n", s.out.paint(cyan, "$ workflow "+strings.Join(step.args, " ")))
		return
	}
	s.out.printf("%s\n", s.out.paint(cyan, "$ cat "+demoFile))
	s.out.printf("%s", demoWorkflow)
}

// carryOut runs one verb in this process: to our own output for people, or into a document for programs.
func carryOut(ctx context.Context, w *work, files map[string][]byte, args []string) (json.RawMessage, int) {
	c := *w.command
	c.Args, c.shared, c.files = args, w.store, files
	c.StdinTerminal = false
	c.Env = func(name string) string { // the store and the account are the demo's own
		if strings.HasPrefix(name, "WORKFLOW_") && name != "WORKFLOW_USER" {
			return ""
		}
		return w.env(name)
	}
	if w.flags.as != "" {
		c.Args = append([]string{"--as", w.flags.as}, c.Args...)
	}
	if !w.json() {
		_ = w.out.flush() // its first error sticks and is reported at the end
		return nil, c.Run(ctx)
	}
	var out bytes.Buffer
	c.Args = append([]string{"--format", formatJSON}, c.Args...)
	c.Stdout = &out
	code := c.Run(ctx)
	return out.Bytes(), code
}

// demoFiles are the files that the demo's commands name.
func demoFiles() (map[string][]byte, error) {
	const contacts = "cdnow-contacts.csv"
	text, err := fs.ReadFile(examples.Files, contacts)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{contacts: text, demoFile: demoWorkflow}, nil
}
