package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/spelling"
	"github.com/crm-workflow/crm-workflow/triggers"
	"github.com/crm-workflow/crm-workflow/workflow"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// isFile reports whether an argument means a file and not the name of a published workflow. Names of workflows hold
// neither dots nor slashes, so that the two cannot be mixed up; "-" is stdin.
func isFile(arg string) bool {
	return arg == "-" || strings.ContainsAny(arg, "./"+string(filepath.Separator))
}

// maxSource is how much of a file is read, be it endless; the loader refuses anything near it.
const maxSource = 16 << 20

// readSource reads a workflow file, or stdin for "-".
func readSource(ctx context.Context, s *session, path string) (name string, source []byte, err error) {
	if path == "-" {
		source, err = io.ReadAll(io.LimitReader(patient(ctx, s.in), maxSource))
		if err != nil {
			return "stdin", nil, fmt.Errorf("read workflow from stdin: %w", err)
		}
		return "stdin", source, nil
	}
	if source, ok := s.command.files[path]; ok {
		return path, source, nil
	}
	source, err = readAtMost(ctx, path, maxSource)
	var at *os.PathError
	switch {
	case errors.As(err, &at):
		return path, nil, failedf("", "read workflow file %s: %v", path, at.Err)
	case err != nil:
		return path, nil, fmt.Errorf("read workflow file: %w", err)
	}
	return path, source, nil
}

func readAtMost(ctx context.Context, path string, limit int64) ([]byte, error) {
	f, _, err := openFile(ctx, path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	return io.ReadAll(io.LimitReader(f, limit))
}

// loadFile loads a workflow file against the account, and shows what is wrong with it.
func loadFile(ctx context.Context, w *work, path string) (*definition.Definition, error) {
	name, source, err := readSource(ctx, w.session, path)
	if err != nil {
		return nil, err
	}
	return loadSource(ctx, w, name, source)
}

// loadSource loads the text of a workflow against the account, and shows what is wrong with it.
func loadSource(ctx context.Context, w *work, name string, source []byte) (*definition.Definition, error) {
	vocabulary, err := definition.AccountVocabulary(ctx, w.store)
	if err != nil {
		return nil, err
	}
	d, findings, err := loadAgainst(ctx, w.store, name, source, vocabulary)
	if err != nil {
		return nil, err
	}
	showFindings(w.session, findings, map[string][]byte{name: source})
	if d == nil {
		return nil, &problem{
			code: exitRefused, findings: findings, message: fmt.Sprintf("%s: %s; nothing was changed", name, countFindings(findings)),
		}
	}
	return d, nil
}

// loadAgainst is [definition.Load], and what only the account can find; a nil store has none.
func loadAgainst(ctx context.Context, store *crmstore.Store, name string, source []byte, v definition.Vocabulary) (*definition.Definition, diag.List, error) {
	d, findings := definition.Load(name, source, v)
	if d == nil || store == nil {
		return d, findings, nil
	}
	more, err := workflow.CheckCeiling(ctx, store, d)
	if err != nil {
		return nil, nil, err
	}
	if more.HasErrors() {
		d = nil
	}
	return d, append(findings, more...), nil
}

// loadTarget loads what NAME|FILE says: a file, or the published revision of a workflow.
func loadTarget(ctx context.Context, w *work, target string) (*definition.Definition, error) {
	if isFile(target) {
		return loadFile(ctx, w, target)
	}
	d, _, err := workflow.LoadPublished(ctx, w.store, target)
	if errors.Is(err, record.ErrNotFound) {
		return nil, unknownWorkflow(ctx, w, target)
	}
	return d, err
}

// unknownWorkflow says that no workflow of that name is published, and which one may have been meant.
func unknownWorkflow(ctx context.Context, w *work, name string) error {
	help := "see: workflow list" + w.repeatFlags()
	var names []string
	if all, err := w.store.Workflows(ctx); err == nil {
		for _, one := range all {
			names = append(names, one.Name)
		}
	}
	if near := spelling.Nearest(name, names); near != "" {
		help = "did you mean " + near + "?"
	} else if _, err := os.Stat(name); err == nil {
		help = "to name a file, write ./" + name
	}
	return &problem{code: exitRefused, reason: "not-found", help: help, message: fmt.Sprintf("no workflow %q is published", name)}
}

// showFindings writes findings to stderr with their source lines. A program gets them in its document instead.
func showFindings(s *session, l diag.List, sources map[string][]byte) {
	if len(l) == 0 || s.json() {
		return
	}
	_ = diag.Printer{Sources: sources, Color: s.err.colour}.Print(s.err, l) // the stream keeps its first error itself
}

// countFindings is "2 errors, 1 warning".
func countFindings(l diag.List) string {
	errs, warnings := l.Count()
	var parts []string
	if errs > 0 {
		parts = append(parts, counted(errs, "error", "errors"))
	}
	if warnings > 0 {
		parts = append(parts, counted(warnings, "warning", "warnings"))
	}
	if len(parts) == 0 {
		return "no findings"
	}
	return strings.Join(parts, ", ")
}

// defaultVocabulary is what expressions may speak of in a new account; lists are not known there.
func defaultVocabulary(o record.ObjectType) triggers.Vocabulary {
	if !slices.Contains(record.StandardObjects(), o) {
		return triggers.Vocabulary{}
	}
	related := map[string]*record.Schema{}
	for _, other := range record.StandardObjects() {
		related[other.Plural()] = record.NewSchema(other, 0, record.DefaultProperties(other))
	}
	return triggers.Vocabulary{Schema: related[o.Plural()], Related: related}
}

// completeTarget completes NAME|FILE.
func completeTarget(s *session) completer { return completeWorkflows(s, true) }

// completeFiles completes workflow files.
func completeFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}
