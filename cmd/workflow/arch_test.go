package main_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// This file holds the house to its plan: who may import whom.
// cmd → workflow → actions → triggers → crmstore; nothing points back.

const module = "github.com/crm-workflow/crm-workflow/"

// mayImport says which packages of ours each package may import; tests may import what is in mayImportInTests too.
// A package that is not in the table is a finding: whoever adds a package decides where it stands.
var mayImport = map[string][]string{
	"crmstore/embedded":          {},
	"crmstore/spelling":          {},
	"crmstore/record":            {"crmstore/unseen"},
	"crmstore/internal/redisdb":  {"crmstore/embedded"},
	"crmstore/unseen":            {},
	"crmstore":                   {"crmstore/embedded", "crmstore/unseen", "crmstore/record", "crmstore/internal/redisdb"},
	"crmstore/storetest":         {"crmstore", "crmstore/embedded", "crmstore/record"},
	"crmstore/csvfile":           {"crmstore/spelling", "crmstore", "crmstore/unseen", "crmstore/record", "crmstore/csvfile/container"},
	"crmstore/csvfile/container": {},
	"workflow/terminal":          {"crmstore/unseen"},
	"workflow/diag":              {"crmstore/unseen", "workflow/terminal"},
	"triggers":                   {"crmstore/spelling", "workflow/diag", "crmstore", "crmstore/unseen", "crmstore/record"},
	"triggers/schedule":          {"crmstore/spelling", "workflow/diag"},
	"actions":                    {"workflow/diag", "crmstore", "triggers", "crmstore/record"},
	"workflow":                   {"crmstore/spelling", "workflow/diag", "workflow/queue", "crmstore", "crmstore/unseen", "triggers", "triggers/schedule", "actions", "crmstore/record", "workflow/definition"},
	"workflow/definition":        {"workflow/diag", "crmstore", "crmstore/record", "crmstore/unseen", "triggers", "triggers/schedule", "actions", "crmstore/spelling"},
	"workflow/outbox":            {"crmstore", "crmstore/record"},
	"workflow/queue":             {"crmstore"},
	"examples":                   {},
	"cmd/workflow/internal/cli":  {"workflow/terminal", "crmstore/spelling", "workflow/diag", "crmstore", "crmstore/unseen", "crmstore/csvfile", "crmstore/csvfile/container", "triggers", "actions", "workflow", "workflow/outbox", "workflow/queue", "examples", "crmstore/record", "workflow/definition"},
	"cmd/workflow":               {"cmd/workflow/internal/cli"},

	"cmd/benchmark/internal/people": {"crmstore", "crmstore/record"},
	"cmd/benchmark/internal/table":  {},
	"cmd/benchmark/internal/wire":   {},
	"cmd/benchmark/internal/rivals": {},
	"cmd/benchmark/internal/suite":  {"crmstore", "workflow", "cmd/benchmark/internal/people", "cmd/benchmark/internal/table", "cmd/benchmark/internal/wire", "cmd/benchmark/internal/rivals", "crmstore/record", "workflow/definition"},
	"cmd/benchmark":                 {"cmd/benchmark/internal/suite", "cmd/benchmark/internal/table"},
}

// mayImportInTests is what a package's tests may import beyond [mayImport] and the package itself.
var mayImportInTests = map[string][]string{
	"crmstore/embedded":          {},
	"crmstore/spelling":          {},
	"crmstore/record":            {},
	"crmstore/internal/redisdb":  {},
	"crmstore/unseen":            {},
	"crmstore":                   {"crmstore/storetest"},
	"crmstore/storetest":         {},
	"crmstore/csvfile":           {"crmstore/storetest"},
	"crmstore/csvfile/container": {},
	"workflow/terminal":          {},
	"workflow/diag":              {},
	"triggers":                   {"crmstore/storetest"},
	"triggers/schedule":          {},
	"actions":                    {"crmstore/storetest"},
	"workflow":                   {"crmstore/storetest"},
	"workflow/definition":        {},
	"workflow/outbox":            {"crmstore/storetest"},
	"workflow/queue":             {"crmstore/storetest"},
	"examples":                   {"workflow/diag", "crmstore", "crmstore/csvfile", "triggers", "actions", "workflow", "crmstore/storetest", "crmstore/record", "workflow/definition"},
	"cmd/workflow/internal/cli":  {"crmstore/storetest"},
	"cmd/workflow":               {"workflow/diag", "crmstore", "crmstore/csvfile", "triggers", "actions", "workflow", "examples", "crmstore/storetest", "crmstore/record", "workflow/definition"},

	"cmd/benchmark/internal/people": {},
	"cmd/benchmark/internal/table":  {},
	"cmd/benchmark/internal/wire":   {},
	"cmd/benchmark/internal/rivals": {},
	"cmd/benchmark/internal/suite":  {},
	"cmd/benchmark":                 {},
}

// onlyIn says where, production code and tests alike, a library may be imported.
var onlyIn = []struct {
	library  string // import path; what starts with it counts too
	packages []string
	why      string
}{
	// The benchmark's rivals are what a person would write instead of this program.
	{"github.com/redis/go-redis/", []string{"crmstore", "crmstore/", "cmd/benchmark/internal/rivals"}, "only the store speaks to Redis"},
	{"github.com/alicebob/miniredis/", []string{"crmstore", "crmstore/"}, "only the store starts servers"},
	{"github.com/expr-lang/expr", []string{"triggers", "cmd/benchmark/internal/rivals"}, "only triggers compiles expressions"},
	{"github.com/robfig/cron/", []string{"triggers/schedule"}, "only triggers/schedule reads cron"},
	{"gopkg.in/yaml.v3", []string{"workflow/definition", "workflow/diag"}, "only definitions are YAML"},
	{"github.com/prometheus/", []string{"workflow", "cmd/"}, "metrics belong to the runner and the daemon"},
	{"github.com/spf13/", []string{"cmd/workflow/internal/cli"}, "only the command line has flags"},
	{"github.com/hibiken/asynq", []string{"workflow/queue"}, "the rest knows a queue, not whose"},
	{"github.com/wneessen/go-mail", []string{"workflow/outbox"}, "only the outbox sends mail"},
}

// testLibraries are not linked into the program; crmstore/storetest is test code that other packages import.
var testLibraries = []string{
	"testing", "github.com/google/go-cmp/", "github.com/rogpeppe/go-internal/testscript/", "github.com/emersion/", "github.com/santhosh-tekuri/jsonschema/",
	"go.uber.org/goleak", "pgregory.net/rapid",
}

// folders are the folders at the top that may hold Go code.
var folders = []string{"cmd", "workflow", "actions", "triggers", "crmstore", "examples"}

// goFile is one parsed Go file of the module.
type goFile struct {
	path    string // slash-separated, from the top of the module
	folder  string
	test    bool
	syntax  *ast.File
	imports []string
}

var fileSet = token.NewFileSet()

func goFiles(t *testing.T) []goFile {
	t.Helper()
	top := filepath.Join("..", "..")
	var files []goFile
	err := filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if p != top && (strings.HasPrefix(name, ".") || name == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		f, err := parse(top, p)
		files = append(files, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 10 {
		t.Fatalf("found %d Go files: the walk is broken", len(files))
	}
	return files
}

func parse(top, p string) (goFile, error) {
	text, err := os.ReadFile(p)
	if err != nil {
		return goFile{}, err
	}
	rel, err := filepath.Rel(top, p)
	if err != nil {
		return goFile{}, err
	}
	rel = filepath.ToSlash(rel)
	syntax, err := parser.ParseFile(fileSet, rel, text, parser.ParseComments)
	if err != nil {
		return goFile{}, err
	}
	f := goFile{
		path: rel, folder: path.Dir(rel), test: strings.HasSuffix(rel, "_test.go"),
		syntax: syntax,
	}
	for _, spec := range syntax.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return goFile{}, err
		}
		f.imports = append(f.imports, name)
	}
	return f, nil
}

func TestHouse_ImportsPointOneWay(t *testing.T) {
	t.Parallel()
	for _, f := range goFiles(t) {
		allowed, known := mayImport[f.folder]
		if !known {
			t.Errorf("%s: package %s is not in the table of import directions", f.path, f.folder)
			continue
		}
		if f.test {
			allowed = slices.Concat(allowed, mayImportInTests[f.folder], []string{f.folder})
		}
		for _, name := range f.imports {
			if ours, is := strings.CutPrefix(name, module); is && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s: %s may import %v only", f.path, ours, f.folder, allowed)
			}
		}
	}
	if a, b := slices.Sorted(maps.Keys(mayImport)), slices.Sorted(maps.Keys(mayImportInTests)); !slices.Equal(a, b) {
		t.Errorf("the two tables know different packages: %v and %v", a, b)
	}
}

func TestHouse_LibrariesHaveOneHome(t *testing.T) {
	t.Parallel()
	for _, f := range goFiles(t) {
		for _, name := range f.imports {
			for _, rule := range onlyIn {
				if strings.HasPrefix(name+"/", strings.TrimSuffix(rule.library, "/")+"/") && !within(f.folder, rule.packages) {
					t.Errorf("%s imports %s: %s", f.path, name, rule.why)
				}
			}
			if f.test || f.folder == "crmstore/storetest" {
				continue
			}
			for _, library := range testLibraries {
				if strings.HasPrefix(name+"/", strings.TrimSuffix(library, "/")+"/") {
					t.Errorf("%s imports %s, which is for tests", f.path, name)
				}
			}
		}
	}
}

// within reports whether folder is one of homes; a home that ends in / stands for everything below it.
func within(folder string, homes []string) bool {
	return slices.ContainsFunc(homes, func(home string) bool {
		return folder == home || strings.HasSuffix(home, "/") && strings.HasPrefix(folder, home)
	})
}

func TestHouse_OnePackageCommentEach(t *testing.T) {
	t.Parallel()
	comments := map[string][]string{}
	for _, f := range goFiles(t) {
		if f.test {
			if f.syntax.Doc != nil {
				t.Errorf("%s: a test file has a package comment; put it below the package clause", f.path)
			}
			continue
		}
		if _, known := comments[f.folder]; !known {
			comments[f.folder] = nil
		}
		if f.syntax.Doc != nil {
			comments[f.folder] = append(comments[f.folder], f.path)
		}
	}
	for folder, in := range comments {
		if len(in) != 1 {
			t.Errorf("package %s has %d package comments, want one: %v", folder, len(in), in)
		}
	}
}

func TestHouse_FoldersAtTheTop(t *testing.T) {
	t.Parallel()
	for _, f := range goFiles(t) {
		if top, _, _ := strings.Cut(f.folder, "/"); !slices.Contains(folders, top) {
			t.Errorf("%s: Go code lives in %v only", f.path, folders)
		}
	}
}

func TestHouse_NoHiddenStartAndNoSleep(t *testing.T) {
	t.Parallel()
	for _, f := range goFiles(t) {
		for _, d := range f.syntax.Decls {
			if fn, is := d.(*ast.FuncDecl); is && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s has an init function: nothing happens by being imported", f.path)
			}
		}
		if !f.test && f.folder != "crmstore/storetest" {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			sel, is := n.(*ast.SelectorExpr)
			if !is || sel.Sel.Name != "Sleep" {
				return true
			}
			if pkg, is := sel.X.(*ast.Ident); is && pkg.Name == "time" {
				t.Errorf("%s: a test sleeps; wait for the event instead", fileSet.Position(sel.Pos()))
			}
			return true
		})
	}
}
