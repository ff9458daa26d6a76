package cli

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/workflow"
)

func daemonsCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Annotations: map[string]string{accessNote: reads},
		Use:         "daemons", Short: "who runs the workflows: since when, and what each is doing",
		Long: "daemons lists the daemons that work on the account, wherever they are, and the runs that each carries. One without a\n" +
			"sign of life for 15 seconds is silent: others take its runs over. It is forgotten after an hour.",
		Example: "  workflow daemons", Args: noArgs,
		RunE: s.work(needs{}, showDaemons),
	}
}

// daemonDocument is a daemon with what it is doing.
type daemonDocument struct {
	crmstore.Daemon
	State string   `json:"state"` // working, stopping or silent
	Runs  []string `json:"runs"`  // that it carries

	doing []string // the same, with how far they are
}

func showDaemons(ctx context.Context, w *work) error {
	all, err := w.store.Daemons(ctx)
	if err != nil {
		return err
	}
	runs, err := w.store.ActiveRuns(ctx)
	if err != nil {
		return err
	}
	docs := []daemonDocument{}
	for _, d := range all {
		doc := daemonDocument{Daemon: d, State: "working", Runs: []string{}}
		switch {
		case workflow.Silent(d, w.now()):
			doc.State = "silent"
		case d.Stopping:
			doc.State = "stopping"
		}
		for _, r := range runs {
			if r.Owner == d.Name {
				doc.Runs = append(doc.Runs, r.ID)
				doc.doing = append(doc.doing, strings.TrimSuffix(r.ID+" "+soFar(r), " "))
			}
		}
		docs = append(docs, doc)
	}
	w.emit(map[string]any{"daemons": docs}, func(o *output) {
		if len(docs) == 0 {
			o.printf("no daemon works on this account; start one with: workflow daemon\n")
			return
		}
		tb := &table{columns: []column{
			{head: "host"}, {head: "process", right: true}, {head: "state"}, {head: "since"}, {head: "last seen"}, {head: "version"}, {head: "doing", flex: true},
		}}
		for _, d := range docs {
			doing := strings.Join(d.doing, ", ")
			if doing == "" {
				doing = "waits"
			}
			tb.add(txt(d.Host), txt(strconv.Itoa(d.Process)), txt(d.State), txt(ago(d.Since, w.now())), txt(ago(d.Beat, w.now())), txt(d.Version), txt(doing))
		}
		o.table(tb, 0)
	})
	return nil
}
