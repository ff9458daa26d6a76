package cli

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// A verb that is not listed here writes: a store in trouble refuses it.
func TestAccess_OfEveryVerb(t *testing.T) {
	want := map[string][]string{
		reads: {
			"account show", "associations list", "audit", "bin", "blocklist check", "completion", "daemons", "demo", "diff", "explain", "help",
			"list", "lists list", "lists show", "new", "objects list", "outbox list", "properties list", "records count", "records export",
			"records get", "records list", "reference", "review", "runs", "schema", "show", "users list", "users show", "validate",
			"version", "why",
		},
		mends: {"account accept-loss", "account clock", "cancel", "daemon", "doctor"},
	}
	got := map[string][]string{}
	root := newRoot(newSession(&Command{}))
	root.InitDefaultHelpCmd()
	for _, cmd := range withSubverbs(root) {
		got[accessOf(cmd)] = append(got[accessOf(cmd)], verbPath(cmd))
	}
	for access, verbs := range want {
		slices.Sort(got[access])
		if !slices.Equal(got[access], verbs) {
			t.Errorf("verbs that do %q with the store:\n got %q\nwant %q", access, got[access], verbs)
		}
	}
	if !slices.Contains(got[writes], "delete") {
		t.Errorf("delete is not among the verbs that write: %q", got[writes])
	}
}

func TestAccess_OfFlags(t *testing.T) {
	for _, c := range []struct {
		verb, flag, want string
	}{
		{"run", "dry-run", reads},
		{"approve", "dry-run", reads},
		{"records import", "dry-run", reads},
		{"publish", "off", mends},
		{"publish", "yes", writes},
	} {
		cmd, _, err := newRoot(newSession(&Command{})).Find(strings.Fields(c.verb))
		if err != nil {
			t.Fatal(err)
		}
		if got := accessOf(cmd); got != writes {
			t.Errorf("%s: access %q, want %q", c.verb, got, writes)
		}
		if err := cmd.Flags().Set(c.flag, "true"); err != nil {
			t.Fatal(err)
		}
		if got := accessOf(cmd); got != c.want {
			t.Errorf("%s --%s: access %q, want %q", c.verb, c.flag, got, c.want)
		}
	}
}

func TestWork_WrongCallOpensNoStore(t *testing.T) {
	wrong := errors.New("wrong")
	bad := "yesterday"
	for name, n := range map[string]needs{
		"check":  {check: func([]string) error { return wrong }},
		"object": {object: func(context.Context) (record.ObjectType, error) { return "", wrong }},
		"now":    {now: &bad},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSession(&Command{Args: []string{"list"}})
			s.flags.store = "memory"
			steps := func(context.Context, *work) error {
				t.Error("the verb began")
				return nil
			}
			cmd := &cobra.Command{}
			cmd.SetContext(t.Context())
			if err := s.work(n, steps)(cmd, nil); err == nil {
				t.Error("no error")
			}
			if s.opened != nil {
				t.Error("a store was opened")
			}
		})
	}
}

// One place opens the store for a verb. What stands beside it works without a store too, or reads an object type.
func TestWork_OpensTheStore(t *testing.T) {
	allowed := []string{"completion.go", "object.go", "validate.go", "work.go"}
	methods := map[string]int{}
	for name, file := range sources(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "open" && !slices.Contains(allowed, name) {
				t.Errorf("%s opens the store: let it say what it needs", name)
			}
			return true
		})
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil {
				methods[receiver(f)]++
			}
		}
	}
	if methods["session"] == 0 {
		t.Fatal("session has no methods: the test looks at the wrong files")
	}
	for name, n := range methods {
		if n > 25 {
			t.Errorf("%s has %d methods, want 25 at most: a verb's steps are functions in its file", name, n)
		}
	}
}

func sources(t *testing.T) map[string]*ast.File {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]*ast.File{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		if files[name], err = parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func receiver(f *ast.FuncDecl) string {
	expr := f.Recv.List[0].Type
	if star, ok := expr.(*ast.StarExpr); ok {
		expr = star.X
	}
	if id, ok := expr.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}
