package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// exits runs a command and wants one exit code: exits CODE COMMAND [ARG...].
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// user adds a user with permissions to the script's account: user NAME [PERMISSION | OBJECT:PERMISSION]...
func user(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: user NAME [PERMISSION | OBJECT:PERMISSION]...")
	}
	ctx, at := context.Background(), time.Now()
	store, err := crmstore.Open(ctx, crmstore.Config{
		URL: ts.Getenv("WORKFLOW_STORE"), Account: ts.Getenv("WORKFLOW_ACCOUNT"), User: ts.Getenv("WORKFLOW_USER"),
	})
	ts.Check(err)
	defer store.Close()
	_, err = store.AddUser(ctx, args[0], "", false, record.Cause{}, at)
	ts.Check(err)
	for _, word := range args[1:] {
		var g crmstore.Grants
		object, name, ofObject := strings.Cut(word, ":")
		if ofObject {
			g.Objects = []record.ObjectType{record.ObjectType(object)}
		} else {
			name = object
		}
		p, err := crmstore.ParsePermission(name)
		ts.Check(err)
		g.Permissions = []crmstore.Permission{p}
		_, err = store.Grant(ctx, args[0], g, record.Cause{}, at)
		ts.Check(err)
	}
}

// redis sends one command to the scripts' server: redis HSET key field value. It is how a script damages a store.
func redis(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: redis COMMAND [ARG...]")
	}
	conn, err := net.Dial("unix", strings.TrimPrefix(ts.Getenv("STORE"), "unix://"))
	ts.Check(err)
	defer conn.Close()
	command := fmt.Sprintf("*%d\r\n", len(args))
	for _, arg := range args {
		command += fmt.Sprintf("$%d\r\n%s\r\n", len(arg), arg)
	}
	_, err = conn.Write([]byte(command))
	ts.Check(err)
	reply, err := bufio.NewReader(conn).ReadString('\n')
	ts.Check(err)
	if strings.HasPrefix(reply, "-") {
		ts.Fatalf("redis: %s", reply)
	}
}

// jsonPath reads the last stdout as one JSON document and compares the value at a path: json PATH WANT, such as
// json error.kind usage, json runs.0.deleted 3, or json contacts.length 12. WANT "-" wants no such field.
func jsonPath(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: json PATH WANT")
	}
	dec := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	dec.UseNumber()
	var doc any
	ts.Check(dec.Decode(&doc))
	if dec.More() {
		ts.Fatalf("stdout holds more than one document")
	}
	got := at(doc, strings.Split(args[0], "."))
	if (got == args[1]) == neg {
		ts.Fatalf("%s is %s, want %s (negated: %v)", args[0], got, args[1], neg)
	}
}

func at(v any, path []string) string {
	if len(path) == 0 {
		return fmt.Sprint(v)
	}
	switch v := v.(type) {
	case map[string]any:
		if next, ok := v[path[0]]; ok {
			return at(next, path[1:])
		}
	case []any:
		if path[0] == "length" {
			return strconv.Itoa(len(v))
		}
		if i, err := strconv.Atoi(path[0]); err == nil && i < len(v) {
			return at(v[i], path[1:])
		}
	}
	return "-"
}
