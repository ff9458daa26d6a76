package crmstore

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
)

// asksNobody are the methods that anybody may call, with the reason.
func asksNobody() map[string]string {
	return map[string]string{
		"As":            "gives a handle; what that may do is asked when it is used",
		"AsSystem":      "the same",
		"User":          "says who acts",
		"IsSystem":      "the same",
		"May":           "asks what may be done",
		"Check":         "asks, and is nothing but that",
		"AccountName":   "was given by the caller",
		"Describe":      "was given by the caller",
		"Connections":   "counts what this process did",
		"Volatile":      "was given by the caller",
		"Health":        "says whether anything may be done with the store, and nothing of what is in it",
		"Ping":          "says whether the store answers",
		"Now":           "is the store's time, which every server tells",
		"Time":          "the same",
		"LastClock":     "the same",
		"Clock":         "the same, and what the account has seen of it",
		"KeepClock":     "the same, and has it remembered",
		"Client":        "is a connection, as whoever has the store's address can make",
		"Close":         "leaves the store",
		"CreateAccount": "there are no users yet: who creates the account becomes its super admin",
		"Partitions":    "one number of the account, which says nothing of what is in it",
		"FindByEmail":   "is FindByEmails for one address",
		"Doctor":        "is Examine",
		"CreateList":    "is AddList without an expression",
		"Object":        "knows the standard object types by itself, and asks Objects for others",
	}
}

// Every exported method of Store asks whether the acting user may, as its first or second statement, or is known to be
// open to anybody. A new method must do one or the other.
func TestEveryMethodAsks(t *testing.T) {
	t.Parallel()
	open := asksNobody()
	seen := map[string]bool{}
	for name, method := range exportedMethods(t) {
		seen[name] = true
		asks := asksFirst(method)
		switch _, allowed := open[name]; {
		case asks && allowed && name != "Check":
			t.Errorf("Store.%s asks; take it off the list", name)
		case !asks && !allowed:
			t.Errorf("Store.%s reads or changes without asking: begin it with s.require(ctx, object, permissions...)", name)
		}
	}
	for name := range open {
		if !seen[name] {
			t.Errorf("Store.%s is on the list and does not exist", name)
		}
	}
}

func exportedMethods(t *testing.T) map[string]*ast.FuncDecl {
	t.Helper()
	files, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*ast.FuncDecl{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			if method, ok := decl.(*ast.FuncDecl); ok && method.Name.IsExported() && receiver(method) == "Store" {
				found[method.Name.Name] = method
			}
		}
	}
	if len(found) < 40 {
		t.Fatalf("found %d methods only: this test looks at the wrong place", len(found))
	}
	return found
}

func receiver(method *ast.FuncDecl) string {
	if method.Recv == nil {
		return ""
	}
	typ := method.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	name, _ := typ.(*ast.Ident)
	if name == nil {
		return ""
	}
	return name.Name
}

// asksFirst reports whether nothing is done before the question. Up to three statements may work out what to ask.
func asksFirst(method *ast.FuncDecl) bool {
	for i, statement := range method.Body.List {
		if calls(statement, "require", "requirePairs", "openAudit", "changeBlocks") {
			return i <= 3
		}
		if i < 3 && calls(statement, "run", "runAll", "HGet", "HGetAll", "Get", "Pipeline") {
			return false
		}
	}
	return false
}

func calls(statement ast.Stmt, names ...string) bool {
	found := false
	ast.Inspect(statement, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if sel, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains(names, sel.Sel.Name) {
			found = true
		}
		return true
	})
	return found
}
