package main

import (
	"bytes"
	"cmp"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// accident is one way in which people were deleted, overwritten or lost whom nobody meant, or nearly: what was done, in
// commands, and what must be true at the end.
type accident struct {
	name   string
	people string            // a CSV file that is imported first; "" = five people
	files  map[string]string // what else lies beside it
	before func(*testing.T, *scene)
	shared bool // deletes and changes nobody, so that one account is enough for all such accidents
	steps  []step
	stays  string // the addresses of who is live at the end, in order; "ada" is ada@x.example
}

// step is one call of the program.
type step struct {
	exit int
	says string // lines, each of which the program says; !words are words that it does not say
	args []string
	look func(*testing.T, *scene, string) // at what it said; may be nil
	call func(*testing.T, *scene)         // instead of the program
}

func do(exit int, says string, args ...string) step { return step{exit: exit, says: says, args: args} }

// fivePeople are in the account where an accident brings no people of its own: ids 1 to 5.
const fivePeople = `Email,First Name,City,Last Activity Date,Unsubscribed from all email
ada@x.example,Ada,Berlin,2020-01-01,true
ben@x.example,Ben,Berlin,2020-01-01,false
cy@x.example,Cy,Paris,2020-01-01,false
dee@x.example,Dee,Rome,2020-01-01,
eve@x.example,Eve,Rome,2020-01-01,
`

const all = "ada ben cy dee eve"

// scene is an account of its own and a directory of its own.
type scene struct {
	program
	dir, account string
	env          []string
	call         func() // what a step does to what stands before the server
}

func (s *scene) path(name string) string { return filepath.Join(s.dir, name) }

func (s *scene) command(args ...string) *exec.Cmd {
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "$ACCOUNT", s.account)
	}
	cmd := s.program.command(args...)
	cmd.Dir = s.dir
	cmd.Env = append(append(cmd.Env, "WORKFLOW_ACCOUNT="+s.account), s.env...)
	return cmd
}

// do runs the program, and returns its exit code and what it said.
func (s *scene) do(args ...string) (int, string) {
	s.t.Helper()
	out, err := s.command(args...).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return exit.ExitCode(), string(out)
	case err != nil:
		s.t.Fatal(err)
	}
	return 0, string(out)
}

func (s *scene) must(args ...string) string {
	s.t.Helper()
	code, out := s.do(args...)
	if code != 0 {
		s.t.Fatalf("workflow %s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// live are the addresses of who is live, as an accident writes them.
func (s *scene) live() string {
	s.t.Helper()
	var who []string
	out, err := s.command("records", "export", "--properties", "email").Output()
	if err != nil {
		s.t.Fatalf("workflow records export: %v", err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n")[1:] {
		_, address, _ := strings.Cut(line, ",")
		who = append(who, strings.TrimSuffix(address, "@x.example"))
	}
	slices.Sort(who)
	return strings.Join(who, " ")
}

func checkSays(t *testing.T, says, out string) {
	t.Helper()
	for words := range strings.SplitSeq(says, "\n") {
		if never, ok := strings.CutPrefix(words, "!"); ok {
			if strings.Contains(out, never) {
				t.Errorf("it says %q:\n%s", never, out)
			}
		} else if !strings.Contains(out, words) {
			t.Errorf("it does not say %q:\n%s", words, out)
		}
	}
}

// workflowFile is a workflow with one trigger, written as the author wrote it, and more keys.
func workflowFile(name, trigger, more string) string {
	return "workflow: " + name + "\nobject: contact\nenroll:\n  triggers:\n    - " + trigger + "\n" + more + "\nactions: [delete_contact]\n"
}

// TestAccidents replays what went wrong once, by name, through the program as it is built.
func TestAccidents(t *testing.T) {
	t.Parallel()
	shared := newScene(t, fivePeople)
	for section, accidents := range map[string][]accident{
		"clocks": clockAccidents(), "approvals and limits": approvalAccidents(), "text": textAccidents(), "who is who": personAccidents(),
		"log and scripts": scriptAccidents(), "files and processes": fileAccidents(), "stores in trouble": storeAccidents(),
	} {
		for _, a := range accidents {
			t.Run(section+"/"+a.name, func(t *testing.T) {
				t.Parallel()
				a.replay(t, shared)
			})
		}
	}
	t.Cleanup(func() { // after all of them
		if live := shared.live(); live != all {
			t.Errorf("live in the shared account: %s, want %s", live, all)
		}
	})
}

// newScene makes an account with people.
func newScene(t *testing.T, people string) *scene {
	t.Helper()
	s := &scene{program: program{t: t}, dir: t.TempDir(), account: storetest.NewAccountName(t)}
	s.must("account", "create", "--partitions", "1")
	s.write("people.csv", people)
	s.must("records", "import", "people.csv")
	return s
}

func (a *accident) replay(t *testing.T, shared *scene) {
	var s *scene
	if a.shared {
		s = &scene{program: program{t: t}, dir: t.TempDir(), account: shared.account}
	} else {
		s = newScene(t, cmp.Or(a.people, fivePeople))
	}
	for name, text := range a.files {
		s.write(name, text)
	}
	if a.before != nil {
		a.before(t, s)
	}
	for _, step := range a.steps {
		if step.call != nil {
			step.call(t, s)
			continue
		}
		code, out := s.do(step.args...)
		if code != step.exit {
			t.Errorf("workflow %s: exit code %d, want %d\n%s", strings.Join(step.args, " "), code, step.exit, out)
		}
		checkSays(t, step.says, out)
		if step.look != nil {
			step.look(t, s, out)
		}
	}
	if a.shared || a.stays == "*" {
		return
	}
	if live := s.live(); live != a.stays {
		t.Errorf("live at the end: %s, want %s", live, a.stays)
	}
}

func (s *scene) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// redisStep sends a command past the program, as another program or a failing server would change the store.
func redisStep(words ...string) step {
	return step{call: func(t *testing.T, s *scene) {
		words := slices.Clone(words)
		for i := range words {
			words[i] = strings.ReplaceAll(words[i], "$ACCOUNT", s.account)
		}
		if reply := ask(t, "unix", strings.TrimPrefix(storetest.URL(t), "unix://"), words...); strings.HasPrefix(reply, "-") {
			t.Fatalf("%q: %s", words, reply)
		}
	}}
}

// clockAccidents are those that show without a wrong clock; TestClocks_Matrix has the wrong ones.
func clockAccidents() []accident {
	stale := map[string]string{"stale.yaml": workflowFile("stale", "daysSince(contact.last_activity_date) > 20000", "limits: {max_percent: 100}")}
	behind := func(ahead time.Duration) func(*testing.T, *scene) {
		return func(t *testing.T, s *scene) {
			relay := storetest.StartRelay(t, storetest.StartServer(t))
			s.env = []string{"WORKFLOW_STORE=redis://" + relay.Address}
			s.must("account", "create", "--partitions", "1")
			s.must("records", "import", "people.csv")
			s.must("publish", "stale.yaml", "--yes")
			relay.Ahead(ahead)
			s.call = func() { relay.Ahead(0) }
		}
	}
	right := step{call: func(_ *testing.T, s *scene) { s.call() }}
	clock := func(name string, ahead time.Duration) accident {
		return accident{name: name, files: stale, before: behind(ahead), stays: all, steps: []step{
			do(3, "clock", "purge", "--expired"), do(3, "clock", "run", "stale"), do(3, "clock", "delete", "1", "--yes"),
			do(0, "note:", "records", "count"), right,
		}}
	}
	return []accident{
		clock("the server's clock is ten years ahead", 3650*day),
		clock("the server's clock is ten years behind", -3650*day),
		clock("the server's clock is 90 s ahead", 90*time.Second),
		{name: "run --now years ahead", files: stale, stays: all, steps: []step{
			do(0, "", "publish", "stale.yaml", "--yes"),
			do(2, "--allow-future", "run", "stale", "--now", "2090-01-01"),
			do(2, "--allow-future", "delete", "--where", "daysSince(contact.last_activity_date) > 20000", "--now", "2090-01-01", "--confirm", "5"),
			do(0, "would delete 5", "review", "stale", "--now", "2090-01-01"),
		}},
	}
}

const heldRun = "stale@2026-07-01T00:00:00Z.1"

// staleFile deletes whom its trigger names; one at a time at most, so that a run for more is held.
func staleFile(trigger string) string {
	return workflowFile("stale", trigger, "limits: {max_deletions: 1, max_percent: 100}")
}

// held has a run of all five people held.
func held(_ *testing.T, s *scene) {
	s.write("stale.yaml", staleFile("daysSince(contact.last_activity_date) > 365"))
	s.must("publish", "stale.yaml", "--yes")
	if code, out := s.do("run", "stale", "--now", "2026-07-01"); code != 1 || !strings.Contains(out, "held") {
		s.t.Fatalf("the run is not held: exit code %d\n%s", code, out)
	}
}

// asUser adds a user with permissions for contacts and for the account, after those of the account stand --.
func asUser(s *scene, name string, permissions ...string) {
	s.t.Helper()
	s.must("users", "add", name)
	for _, p := range permissions {
		words := []string{"users", "grant", name, p}
		if slices.Contains([]string{"view", "edit", "delete"}, p) {
			words = append(words, "--object", "contact")
		}
		s.must(words...)
	}
}

func approvalAccidents() []accident {
	approve := func(exit int, says string, more ...string) step {
		return do(exit, says, append([]string{"approve", heldRun}, more...)...)
	}
	accidents := []accident{
		{name: "approve --confirm with another number", before: held, stays: all, steps: []step{
			approve(1, "", "--confirm", "50"), approve(1, "", "--confirm", "4"), approve(1, "", "--confirm", "0"), approve(1, "", "--confirm", "-5"),
			approve(2, "", "--confirm", ""), approve(2, "", "--confirm", "5.0"), approve(2, "", "--confirm", "5e0"), approve(2, "", "--confirm", "99999999999999999999"),
			do(0, "held", "runs", heldRun),
		}},
		{name: "approve without a number where there is no terminal", before: held, stays: all, steps: []step{approve(2, "--confirm 5"), do(0, "held", "runs", heldRun)}},
		{name: "approve shows who, from the run itself", before: held, stays: "later", steps: []step{
			do(0, "", "records", "create", "email=later@x.example", "last_activity_date=2020-01-01"),
			approve(0, "would delete 5\nada@x.example\n!later@x.example", "--dry-run", "--csv", "who.csv"),
			approve(0, "", "--confirm", "5"),
		}},
		{name: "a held run of a revision that is no longer the newest", before: held, files: map[string]string{"one.yaml": staleFile(`contact.city == "Paris"`)}, stays: all, steps: []step{
			do(0, "is held with 5 contacts; publishing this file ends it", "review", "one.yaml"),
			do(0, "ended: run "+heldRun, "publish", "one.yaml", "--yes"),
			approve(1, "is cancelled, not held", "--confirm", "5"),
		}},
		{name: "a held run that was kept, and a newer revision", before: held, files: map[string]string{"one.yaml": staleFile(`contact.city == "Paris"`)}, stays: all, steps: []step{
			do(0, "kept: run "+heldRun, "publish", "one.yaml", "--yes", "--keep-held"),
			approve(0, "revision 2 of stale was published\nwould not delete 4 of these 5", "--dry-run"),
			approve(1, "", "--confirm", "1"),
		}},
		{name: "two approvals at once", before: held, stays: "", steps: []step{{call: approvedTwice}, do(0, "done", "runs", heldRun)}},
		{name: "max_deletions in four runs of one day", files: map[string]string{"three.yaml": workflowFile("stale", `contact.jobtitle == "gone"`, "limits: {max_deletions: 3, max_percent: 100}")}, stays: "dee eve", steps: []step{
			do(0, "", "publish", "three.yaml", "--yes"),
			do(0, "", "records", "set", "1", "jobtitle=gone"), do(0, "deleted", "run", "stale"),
			do(0, "", "records", "set", "2", "jobtitle=gone"), do(0, "deleted", "run", "stale"),
			do(0, "", "records", "set", "3", "jobtitle=gone"), do(0, "deleted", "run", "stale"),
			do(0, "", "records", "set", "4", "jobtitle=gone"), do(1, "max_deletions 3", "run", "stale"),
		}},
		{name: "max_deletions after an undo", files: map[string]string{"two.yaml": workflowFile("stale", `contact.jobtitle == "gone"`, "limits: {max_deletions: 2, max_percent: 100}")}, stays: all, steps: []step{
			do(0, "", "publish", "two.yaml", "--yes"),
			do(0, "", "records", "set", "1", "jobtitle=gone"), do(0, "", "records", "set", "2", "jobtitle=gone"),
			do(0, "", "run", "stale", "--now", "2026-07-01"), do(0, "2 contacts restored", "undo", heldRun),
			do(0, "", "records", "set", "3", "jobtitle=gone"), do(1, "max_deletions 2", "run", "stale"),
		}},
		{name: "max_percent in several runs of one day", files: map[string]string{"p.yaml": workflowFile("stale", `contact.jobtitle == "gone"`, "limits: {max_percent: 30}")}, stays: "ben cy dee eve", steps: []step{
			do(0, "", "publish", "p.yaml", "--yes"),
			do(0, "", "records", "set", "1", "jobtitle=gone"), do(0, "", "run", "stale"),
			do(0, "", "records", "set", "2", "jobtitle=gone"), do(1, "max_percent 30 %", "run", "stale"),
		}},
		{name: "many small workflows", before: func(_ *testing.T, s *scene) { s.must("account", "set", "deletions_per_day", "2") }, stays: "cy dee eve", files: map[string]string{
			"a.yaml": workflowFile("a", `contact.firstname == "Ada"`, "limits: {max_deletions: 2, max_percent: 100}"),
			"b.yaml": workflowFile("b", `contact.firstname == "Ben"`, "limits: {max_deletions: 2, max_percent: 100}"),
			"c.yaml": workflowFile("c", `contact.firstname == "Cy"`, "limits: {max_deletions: 2, max_percent: 100}"),
		}, steps: []step{
			do(0, "", "publish", "a.yaml", "--yes"), do(0, "", "publish", "b.yaml", "--yes"), do(0, "", "publish", "c.yaml", "--yes"),
			do(0, "", "run", "a"), do(0, "", "run", "b"), do(1, "deletions_per_day", "run", "c"),
			{call: func(_ *testing.T, s *scene) { asUser(s, "theo", "view", "delete", "bulk-delete", "manage-workflows") }},
			do(1, "a super admin can", "delete", "4", "5", "--confirm", "2", "--as", "theo"), do(1, "a super admin can", "delete", "4", "--yes", "--as", "theo"),
			do(1, "a super admin can", "delete", "--where", `contact.city == "Rome"`, "--confirm", "2", "--as", "theo"),
			do(1, "super-admin", "account", "set", "deletions_per_day", "100", "--as", "theo"),
		}},
		{name: "a limit above the account's", before: func(_ *testing.T, s *scene) { s.must("account", "set", "deletions_per_day", "2") }, stays: all, files: map[string]string{
			"big.yaml": workflowFile("big", `contact.firstname == "Ada"`, "limits: {max_deletions: 5000}"),
		}, steps: []step{do(1, "WF4", "publish", "big.yaml", "--yes")}},
		{name: "manage-workflows alone", before: func(t *testing.T, s *scene) {
			held(t, s)
			asUser(s, "max", "manage-workflows")
			asUser(s, "meg", "manage-workflows", "view")
			asUser(s, "moe", "bulk-delete", "view")
		}, stays: all, steps: []step{
			approve(1, "", "--confirm", "5", "--as", "max"), approve(1, "bulk-delete", "--confirm", "5", "--as", "meg"), approve(1, "manage-workflows", "--confirm", "5", "--as", "moe"),
			do(1, "delete", "publish", "stale.yaml", "--yes", "--as", "meg"), do(1, "is not a user", "publish", "stale.yaml", "--yes", "--as", "nobody"),
		}},
		{name: "whoever published approves alone", before: func(t *testing.T, s *scene) {
			s.must("account", "set", "approval_by", "not_publisher")
			s.must("account", "set", "approvals", "2")
			held(t, s)
			asUser(s, "theo", "view", "delete", "bulk-delete", "manage-workflows")
		}, stays: all, steps: []step{
			approve(1, "published workflow stale", "--confirm", "5"),
			approve(0, "another user must approve it too", "--confirm", "5", "--as", "theo"),
			approve(1, "approved run", "--confirm", "5", "--as", "theo"),
		}},
	}
	for _, everybody := range []string{"true", "1 == 1", "known(contact.createdate)", "!unknown(contact.createdate)", `contact.firstname != "no such name"`, "daysSince(contact.createdate) >= 0 || true"} {
		accidents = append(accidents, accident{name: "delete --where " + everybody, stays: all, steps: []step{
			{call: func(t *testing.T, s *scene) {
				if code, out := s.do("delete", "--where", everybody, "--confirm", "5"); code == 0 {
					t.Errorf("it went through:\n%s", out)
				}
			}},
		}})
	}
	return append(accidents,
		accident{name: "restored, and deleted again under another name", before: func(_ *testing.T, s *scene) { s.must("account", "set", "repeat_deletions", "1") }, stays: all, files: map[string]string{
			"a.yaml": workflowFile("a", "daysSince(contact.last_activity_date) > 365", "limits: {max_percent: 100}"),
			"b.yaml": workflowFile("b", "daysSince(contact.last_activity_date) > 365", "limits: {max_percent: 100}"),
		}, steps: []step{
			do(0, "", "publish", "a.yaml", "--yes"), do(0, "", "run", "a", "--now", "2026-07-01"), do(0, "5 contacts restored", "undo", "a@2026-07-01T00:00:00Z.1"),
			do(0, "restored before", "review", "b.yaml"), do(0, "", "publish", "b.yaml", "--yes"), do(1, "restored before", "run", "b"),
		}},
		accident{name: "created anew, and deleted again every night", before: func(_ *testing.T, s *scene) { s.must("account", "set", "repeat_deletions", "1") }, stays: all, files: map[string]string{
			"a.yaml": workflowFile("a", "daysSince(contact.last_activity_date) > 365", "limits: {max_percent: 100}"),
		}, steps: []step{
			do(0, "", "publish", "a.yaml", "--yes"), do(0, "", "run", "a"), do(0, "5 new", "records", "import", "people.csv"),
			do(0, "deleted before", "review", "a"), do(1, "deleted before", "run", "a"),
		}},
		accident{name: "a narrower revision during a run", files: map[string]string{
			"wide.yaml":   workflowFile("slow", "daysSince(contact.last_activity_date) > 365", "limits: {max_percent: 100, max_per_second: 1}"),
			"narrow.yaml": workflowFile("slow", `contact.city == "Nowhere"`, "limits: {max_percent: 100, max_per_second: 1}"),
		}, stays: "*", steps: []step{{call: narrowedUnderWay}}},
		accident{name: "legal hold", files: map[string]string{"all.yaml": workflowFile("all", "daysSince(contact.last_activity_date) > 365", "limits: {max_percent: 100}")}, stays: "ada", steps: []step{
			do(0, "", "legal-hold", "add", "ADA@x.example", "--reason", "lawsuit"),
			do(1, "lawsuit", "delete", "1", "--yes"), do(1, "lawsuit", "delete", "--permanent", "1", "--confirm", "1"),
			do(0, "", "publish", "all.yaml", "--yes"), do(0, "on legal hold", "run", "all"),
			{call: func(_ *testing.T, s *scene) { asUser(s, "theo", "view", "delete", "bulk-delete", "manage-workflows") }},
			do(1, "lacks the permission legal-hold", "legal-hold", "remove", "1", "--reason", "no", "--as", "theo"),
		}},
	)
}

// approvedTwice has two people approve the held run at the same moment: one wins, the other is told so.
func approvedTwice(t *testing.T, s *scene) {
	asUser(s, "theo", "view", "delete", "bulk-delete", "manage-workflows")
	var calls [2]*exec.Cmd
	var said [2]bytes.Buffer
	for i := range calls {
		args := []string{"approve", heldRun, "--confirm", "5"}
		if i == 1 {
			args = append(args, "--as", "theo")
		}
		calls[i] = s.command(args...)
		calls[i].Stdout, calls[i].Stderr = &said[i], &said[i]
		if err := calls[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	codes := make([]int, 0, len(calls))
	for _, c := range calls {
		_ = c.Wait() // its exit code is looked at
		codes = append(codes, c.ProcessState.ExitCode())
	}
	if codes[0]+codes[1] != 1 {
		t.Errorf("exit codes %v, want 0 and 1\n%s\n%s", codes, &said[0], &said[1])
	}
	loser := said[0].String()
	if codes[1] == 1 {
		loser = said[1].String()
	}
	if !strings.Contains(loser, "not held") && !strings.Contains(loser, "approved") {
		t.Errorf("the second one is told:\n%s", loser)
	}
}

// narrowedUnderWay publishes a revision that deletes nobody while a slow run of the one before is under way.
func narrowedUnderWay(t *testing.T, s *scene) {
	s.must("publish", "wide.yaml", "--yes")
	run := s.command("run", "slow")
	var said bytes.Buffer
	run.Stdout, run.Stderr = &said, &said
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	for live := s.live(); live == all; live = s.live() {
		if t.Context().Err() != nil {
			t.Fatal("the run deletes nobody")
		}
	}
	checkSays(t, "slow", s.must("publish", "narrow.yaml", "--yes"))
	_ = run.Wait() // its exit code is looked at
	if code := run.ProcessState.ExitCode(); code != 1 || !strings.Contains(said.String(), "held") {
		t.Errorf("the run under way: exit code %d\n%s", code, &said)
	}
	if live := strings.Fields(s.live()); len(live) < 2 { // at one a second
		t.Errorf("%q are left", live)
	}
}
