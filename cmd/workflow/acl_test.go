package main

import (
	"bufio"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// aclFile has the user that docs/OPERATING.md gives the program in Redis.
const aclFile = "../../examples/operating/workflow.acl"

// aclLine is the command that makes the user of aclFile, in words.
func aclLine(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(aclFile)
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(string(text))
	if strings.Count(string(text), "\n") != 1 || words[0] != "user" || words[1] != "workflow" {
		t.Fatalf("%s is not one line \"user workflow …\"", aclFile)
	}
	return append([]string{"ACL", "SETUSER"}, words[1:]...)
}

// A server that is started with the file lets the user do what the program does, and nothing else.
func TestOperating_ACLFile(t *testing.T) {
	t.Parallel()
	path, err := filepath.Abs(aclFile)
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "redis.sock")
	storetest.StartServer(t, "--unixsocket", socket, "--aclfile", path)
	p := program{t: t, url: "unix://workflow:SECRET@" + socket}
	p.must("account", "create")
	conn, err := new(net.Dialer).DialContext(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "AUTH workflow SECRET\r\nFLUSHALL\r\n")
	replies := bufio.NewReader(conn)
	for _, want := range []string{"+OK", "-NOPERM"} {
		if got, err := replies.ReadString('\n'); err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("the server answers %q, %v; want %s", got, err, want)
		}
	}
}

// clusterWords are what docs/OPERATING.md adds to it for a cluster.
func clusterWords(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/OPERATING.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("A cluster: add\\s+`([^`]*)`").FindSubmatch(text)
	if m == nil {
		t.Fatal("docs/OPERATING.md does not say what a cluster needs")
	}
	return strings.Fields(string(m[1]))
}

// restrictedUser makes that user at the server on a socket, and returns the address by which it opens the store. At the
// end of the test it fails it for each command and key that the server refused.
func restrictedUser(t *testing.T, url string) string {
	t.Helper()
	socket := strings.TrimPrefix(url, "unix://")
	if reply := ask(t, "unix", socket, aclLine(t)...); reply != "+OK" {
		t.Fatalf("ACL SETUSER: %s", reply)
	}
	t.Cleanup(func() {
		if reply := ask(t, "unix", socket, "ACL", "LOG"); reply != "*0" {
			t.Errorf("the user in workflow.acl may not do what the program does: %s", reply)
		}
	})
	return "unix://workflow:SECRET@" + socket
}

// ask sends one command to a Redis server and returns the first line of the answer, or the text or the list that it announces.
func ask(t *testing.T, network, address string, words ...string) string {
	t.Helper()
	conn, err := new(net.Dialer).Dial(network, address) // without a context: also at the end, when the test's is over
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(conn, "$%d\r\n%s\r\n", len(w), w)
	}
	reply := bufio.NewReader(conn)
	line, err := reply.ReadString('\n')
	if err == nil && strings.HasPrefix(line, "$") {
		line, err = reply.ReadString('\n')
	}
	if err != nil {
		t.Fatal(err)
	}
	if list, err := reply.Peek(reply.Buffered()); err == nil && strings.HasPrefix(line, "*") {
		line += string(list)
	}
	return strings.TrimSpace(line)
}

// Sessions do not reach every branch of every script, so each command that a script names is looked up as well.
func TestOperating_UserMayCallAllThatScriptsCall(t *testing.T) {
	t.Parallel()
	granted := map[string]bool{}
	for _, word := range aclLine(t) {
		granted[strings.TrimPrefix(word, "+")] = strings.HasPrefix(word, "+")
	}
	found := 0
	err := filepath.WalkDir("../../crmstore/lua", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`call\(['"]([A-Za-z]+)['"]`).FindAllStringSubmatch(string(text), -1) {
			found++
			name := strings.ToLower(m[1])
			if name == "xinfo" {
				name = "xinfo|stream" // the only one of its kind that is called
			}
			if !granted[name] {
				t.Errorf("%s calls %s, which the user in workflow.acl may not", path, name)
			}
		}
		return err
	})
	if err != nil || found < 50 {
		t.Errorf("found %d calls, %v: the way to find them is broken", found, err)
	}
}
