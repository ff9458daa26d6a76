package main_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// This file runs every command block of README.md, in order, in one shell, in a fresh folder that holds a copy of
// examples/ and with the program that was just built first on PATH. The conventions:
//
//   - In a ```console block, a line "$ command" is a command (a trailing \ goes on in the next line); the lines below it,
//     if any, are all that it prints to stdout and stderr. A line "..." stands for any number of lines, and "..." within a
//     line for any text. A command must end with exit code 0, or N where it ends with the comment "# exit N".
//   - In a ```sh block, every line is such a command without shown output.
//   - <!-- file: NAME --> on the line before a block writes the block to that file, and runs nothing.
//   - <!-- not run: REASON --> before a command block leaves it out; the reason is shown by go test -v.
//   - A block of make commands (and the git clone and cd before them) is not run here: make test is what is running, and
//     .ci/run runs make demo. The targets must exist.

// A README is read on a screen beside a terminal: so many lines, of so many characters.
const (
	maxReadme     = 250
	maxReadmeLine = 120
)

func TestReadme_EveryCommandRuns(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte("\n")); n > maxReadme {
		t.Errorf("README.md has %d lines, at most %d", n, maxReadme)
	}
	for i, line := range strings.Split(string(text), "\n") {
		if n := utf8.RuneCountInString(line); n > maxReadmeLine {
			t.Errorf("README.md:%d has %d characters, at most %d", i+1, n, maxReadmeLine)
		}
	}
	readme := parseReadme(t, string(text))
	for _, target := range readme.targets {
		checkTarget(t, target)
	}
	if got, want := strings.Join(readme.targets, " "), "demo test"; !strings.HasPrefix(got, want) {
		t.Errorf("README.md's first commands are make %q, want make demo and make test", got)
	}
	if len(readme.commands) == 0 {
		t.Fatal("README.md shows no command of the program")
	}
	for _, reason := range readme.skipped {
		t.Log("not run:", reason)
	}
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(bin, "workflow"), ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the program: %v\n%s", err, out)
	}
	for i, got := range runReadme(t, readme, bin) {
		if wrong := readme.commands[i].compare(got); wrong != "" {
			t.Errorf("README.md:%d: %s", readme.commands[i].line, wrong)
			break // what follows builds on this
		}
	}
}

// TestReadme_Conventions runs a README of its own, so that a wrong reading of the conventions cannot pass as agreement.
func TestReadme_Conventions(t *testing.T) {
	t.Parallel()
	readme := parseReadme(t, strings.ReplaceAll(`# Sample
~~~sh
make demo
make test     # installs what is missing
~~~
<!-- file: note.txt -->
~~~text
first
second
third
~~~
~~~console
$ cat note.txt
first
...
$ cat note.txt
first
$ cat note.txt; echo took 12 ms
...
third
took ... ms
$ ls nowhere 2>/dev/null # exit 2
$ true
$ word=kept
~~~
<!-- not run: it needs a server -->
~~~sh
false
~~~
~~~sh
# a remark
test "$word" = kept && \
  cat
~~~
`, "~~~", "```"))
	if diff := cmp.Diff([]string{"demo", "test"}, readme.targets); diff != "" {
		t.Errorf("make targets (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"it needs a server"}, readme.skipped); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
	var got []string
	for i, result := range runReadme(t, readme, t.TempDir()) {
		c := readme.commands[i]
		verdict := "good"
		if c.compare(result) != "" {
			verdict = "wrong"
		}
		got = append(got, fmt.Sprintf("%d %s: %s", c.line, strings.Fields(c.text)[0], verdict))
	}
	want := []string{"13 cat: good", "16 cat: wrong", "18 cat: good", "22 ls: good", "23 true: good", "24 word=kept: good", "32 test: good"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

// readmeCommand is one command with what the README says that it does.
type readmeCommand struct {
	line int
	text string
	want []string // nil: the README shows no output
	code int
}

type readmeFile struct {
	name, text string
	before     int // number of commands that come before it
}

type readme struct {
	commands []readmeCommand
	files    []readmeFile
	targets  []string // of make
	skipped  []string
}

var (
	fence      = regexp.MustCompile("^```([a-z]*)")
	directive  = regexp.MustCompile(`^<!-- (file|not run): (\S.*?) -->$`)
	exitCode   = regexp.MustCompile(`\s# exit (\d+)$`)
	ofCheckout = regexp.MustCompile(`^(make( [a-z-]+)*|git clone \S+|cd \S+)$`)
)

func parseReadme(t *testing.T, text string) readme {
	t.Helper()
	var r readme
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		m := fence.FindStringSubmatch(lines[i])
		if m == nil {
			continue
		}
		first, kind, order := i+1, m[1], []string{"", "", ""}
		if i > 0 {
			if d := directive.FindStringSubmatch(lines[i-1]); d != nil {
				order = d
			}
		}
		for i++; i < len(lines) && lines[i] != "```"; {
			i++
		}
		if i == len(lines) {
			t.Fatalf("README.md:%d: the block does not end", first)
		}
		body := lines[first:i]
		switch {
		case order[1] == "file":
			r.files = append(r.files, readmeFile{order[2], strings.Join(body, "\n") + "\n", len(r.commands)})
		case kind != "console" && kind != "sh" && kind != "bash" && kind != "shell":
		case order[1] == "not run":
			r.skipped = append(r.skipped, order[2])
		default:
			r.addBlock(t, kind, body, first+1)
		}
	}
	return r
}

func (r *readme) addBlock(t *testing.T, kind string, body []string, line int) {
	t.Helper()
	var block []readmeCommand
	for i := 0; i < len(body); i++ {
		text, isCommand := strings.CutPrefix(body[i], "$ ")
		switch {
		case kind != "console" && (strings.TrimSpace(body[i]) == "" || strings.HasPrefix(body[i], "#")):
			continue
		case kind == "console" && !isCommand:
			if len(block) == 0 {
				t.Fatalf("README.md:%d: output without a command; commands start with $", line+i)
			}
			last := &block[len(block)-1]
			last.want = append(last.want, body[i])
			continue
		}
		c := readmeCommand{line: line + i, text: text}
		for strings.HasSuffix(c.text, `\`) && i+1 < len(body) {
			i++
			c.text += "\n" + body[i]
		}
		if m := exitCode.FindStringSubmatch(c.text); m != nil {
			c.code, _ = strconv.Atoi(m[1])
		}
		block = append(block, c)
	}
	for _, c := range block {
		command, _, _ := strings.Cut(c.text, " #")
		command = strings.TrimSpace(command)
		if !ofCheckout.MatchString(command) {
			r.commands = append(r.commands, c)
			continue
		}
		if targets, is := strings.CutPrefix(command, "make "); is {
			r.targets = append(r.targets, strings.Fields(targets)...)
		}
	}
}

func checkTarget(t *testing.T, target string) {
	t.Helper()
	makefile, err := os.ReadFile(filepath.Join("..", "..", "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(makefile), "\n"+target+":") {
		t.Errorf("README.md speaks of make %s, which the Makefile does not have", target)
	}
}

// compare says what is wrong with a result, "" when it is as the README says.
func (c readmeCommand) compare(got readmeResult) string {
	if got.code != c.code {
		return fmt.Sprintf("$ %s\nexit code %d, want %d; it printed:\n%s", c.text, got.code, c.code, got.output)
	}
	if c.want != nil && !elided(c.want).MatchString(got.output) {
		return fmt.Sprintf("$ %s\nprints something else than shown (-shown +printed):\n%s",
			c.text, cmp.Diff(c.want, strings.Split(strings.TrimSuffix(got.output, "\n"), "\n")))
	}
	return ""
}

// elided is the shown output as a pattern.
func elided(want []string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString("^")
	for _, line := range want {
		if strings.TrimSpace(line) == "..." {
			b.WriteString(`(?:.*\n)*?`)
			continue
		}
		b.WriteString(strings.ReplaceAll(regexp.QuoteMeta(strings.TrimRight(line, " ")), `\.\.\.`, `.*?`) + ` *\n`)
	}
	b.WriteString("$")
	return regexp.MustCompile(b.String())
}

type readmeResult struct {
	output string
	code   int
}

// runReadme runs all commands in one bash, so that cd, variables and background jobs carry over, and takes its output
// apart at marks that it prints between them.
func runReadme(t *testing.T, r readme, bin string) []readmeResult {
	t.Helper()
	work := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if err := os.CopyFS(filepath.Join(work, "examples"), os.DirFS(filepath.Join("..", "..", "examples"))); err != nil {
		t.Fatal(err)
	}
	const mark = "\x01"
	var script strings.Builder
	for i, c := range r.commands {
		for _, f := range r.files {
			if f.before == i {
				fmt.Fprintf(&script, "cat >%s <<'END-OF-README-FILE'\n%sEND-OF-README-FILE\n", f.name, f.text)
			}
		}
		fmt.Fprintf(&script, "%s\nprintf '%s%%d%s' $?\n", c.text, mark, mark)
	}
	script.WriteString("kill $(jobs -p) 2>/dev/null; wait\n")
	// A file, so that a command that reads its input does not read what comes next.
	file := filepath.Join(t.TempDir(), "readme.sh")
	if err := os.WriteFile(file, []byte(script.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, "bash", file)
	cmd.Dir = work
	ours := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "WORKFLOW_") })
	cmd.Env = append(ours, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "HOME="+work, "TERM=dumb")
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	parts := strings.Split(string(out), mark)
	if len(parts) < 2*len(r.commands) {
		t.Fatalf("the commands did not come to their end: %v\n%s", err, out)
	}
	results := make([]readmeResult, len(r.commands))
	for i := range results {
		code, err := strconv.Atoi(parts[2*i+1])
		if err != nil {
			t.Fatalf("after command %d: %v", i, err)
		}
		output := parts[2*i]
		if output != "" && !strings.HasSuffix(output, "\n") {
			output += "\n"
		}
		results[i] = readmeResult{output: output, code: code}
	}
	return results
}
