package crmstore_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// state is what keys hold, as the server gives it away, byte for byte; a stream's newest id is in it too.
type state struct {
	dumps  map[string]string
	hashes map[string]string // the same with their fields in order: a server moves them around at any time
}

func stateOf(t *testing.T, rdb redis.UniversalClient, keys []string) state {
	t.Helper()
	pipe := rdb.Pipeline()
	dumps, hashes := make([]*redis.StringCmd, len(keys)), make([]*redis.MapStringStringCmd, len(keys))
	for i, key := range keys {
		dumps[i], hashes[i] = pipe.Dump(t.Context(), key), pipe.HGetAll(t.Context(), key)
	}
	_, _ = pipe.Exec(t.Context()) // each command has its own error
	st := state{map[string]string{}, map[string]string{}}
	for i, key := range keys {
		dump, err := dumps[i].Result()
		if err == nil {
			st.dumps[key] = dump
		} else if !errors.Is(err, redis.Nil) {
			t.Fatal(err)
		}
		if fields, err := hashes[i].Result(); err == nil && len(fields) > 0 {
			st.hashes[key] = fmt.Sprintf("%q", fields) // in the order of the fields
		}
	}
	return st
}

// diff is what differs between two states; "" = nothing.
func (s state) diff(after state) string {
	seen := func(st state) map[string]string {
		all := maps.Clone(st.dumps)
		maps.Copy(all, st.hashes)
		return all
	}
	if maps.Equal(seen(s), seen(after)) {
		return ""
	}
	return cmp.Diff(seen(s), seen(after))
}

// scriptCall is a call of a script that the program made, with what its keys held before.
type scriptCall struct {
	script crmstore.ScriptInfo
	keys   []string
	args   []any
	before state

	watched []string // the keys, and those that the script finds by the name of one of them: where a log is counted
}

// recorder keeps, of each script, some calls that changed something.
type recorder struct {
	t       *testing.T
	raw     redis.UniversalClient
	scripts map[string]crmstore.ScriptInfo

	mu    sync.Mutex
	calls map[string][]scriptCall
	met   map[string]bool
}

// callsKept is how many calls of a script are kept.
const callsKept = 2

func (r *recorder) around(cmd redis.Cmder, carryOut func() error) error {
	args := cmd.Args()
	name, _ := args[0].(string)
	sha, _ := args[1].(string)
	info, known := r.scripts[sha]
	if name != "evalsha" || !known {
		return carryOut()
	}
	n := args[2].(int)
	c := scriptCall{script: info, args: args[3+n:]}
	for _, key := range args[3 : 3+n] {
		c.keys = append(c.keys, key.(string))
	}
	c.watched = c.keys
	for i, key := range c.keys {
		if counts := strings.TrimSuffix(key, ":log") + ":cnt"; c.kindOf(i) == "log" && !slices.Contains(c.keys, counts) {
			c.watched = append(slices.Clone(c.watched), counts)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.met[info.Name] = true
	if len(r.calls[info.Name]) == callsKept {
		return carryOut()
	}
	c.before = stateOf(r.t, r.raw, c.watched)
	err := carryOut()
	if after := stateOf(r.t, r.raw, c.watched); c.before.diff(after) != "" {
		r.calls[info.Name] = append(r.calls[info.Name], c)
	}
	return err
}

func (r *recorder) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (r *recorder) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if len(cmd.Args()) < 3 {
			return next(ctx, cmd)
		}
		return r.around(cmd, func() error { return next(ctx, cmd) })
	}
}

func (r *recorder) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if name, _ := cmds[0].Args()[0].(string); name != "evalsha" {
			return next(ctx, cmds)
		}
		for _, cmd := range cmds {
			_ = r.around(cmd, func() error { return next(ctx, []redis.Cmder{cmd}) })
		}
		return nil
	}
}

// recordCalls lets the program do everything once, and says which calls of scripts changed something.
func recordCalls(t *testing.T) (calls map[string][]scriptCall, met map[string]bool) {
	t.Helper()
	url := "redis://" + storetest.StartServer(t)
	s, err := crmstore.Open(t.Context(), crmstore.Config{URL: url, User: storetest.User})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	o, _ := redis.ParseURL(url)
	raw := redis.NewClient(o)
	t.Cleanup(func() { _ = raw.Close() })
	for _, info := range crmstore.Scripts() {
		if err := raw.ScriptLoad(t.Context(), info.Source).Err(); err != nil {
			t.Fatalf("%s: %v", info.Name, err)
		}
	}
	r := &recorder{t: t, raw: raw, scripts: crmstore.Scripts(), calls: map[string][]scriptCall{}, met: map[string]bool{}}
	crmstore.Raw(s).AddHook(r)
	if _, err := s.CreateAccount(t.Context(), crmstore.Professional, 1, someone, noon); err != nil {
		t.Fatal(err)
	}
	schema, err := s.Schema(t.Context(), record.Contact)
	if err != nil {
		t.Fatal(err)
	}
	sc := &scene{&desk{s, t, schema}, url}
	sc.fill()
	sc.useTheRest()
	return r.calls, r.met
}

// useTheRest does what the scene does not: it is here so that each script is called at least once.
func (s *scene) useTheRest() {
	t, ctx := s.t, s.t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.AddObject(ctx, crmstore.Object{Name: "machine"}, nil, someone, noon)
	must(err)
	_, err = s.AddProperties(ctx, record.Contact, []record.Property{{Name: "extra", Type: record.Bool}}, someone, noon)
	must(err)
	_, err = s.AddUser(ctx, "eve", "", false, someone, noon)
	must(err)
	if _, err := s.As("eve").Count(ctx, record.Deal); err == nil {
		t.Fatal("eve may count deals")
	}
	_, err = s.SetSetting(ctx, crmstore.SettingAuditDays, "100", someone, noon)
	must(err)
	_, err = s.BlockAddresses(ctx, []string{"blocked@example.com"}, someone, noon)
	must(err)
	_, _, err = s.Pace(ctx, 1, noon, crmstore.Rate{PerSecond: 5})
	must(err)
	gone, err := s.CreateList(ctx, record.Contact, "gone", someone, noon)
	must(err)
	_, _, err = s.SetMembers(ctx, gone, []record.ID{2}, true, someone, noon)
	must(err)
	must(s.DeleteList(ctx, gone, someone, noon))
	_, err = s.QueueMail(ctx, crmstore.Mail{ID: "m1", To: "a@example.com"}, "example.com", noon)
	must(err)
	s.useARun(must)
	s.hold(true, 2, 3)
	s.hold(false, 2, 3)
	s.doctor(true)
	s.archive(crmstore.ArchiveOrder{Object: record.Contact, Cause: record.Cause{Run: "delete@2"}, At: noon}, s.targets("why", 2))
	s.purge(crmstore.PurgeOrder{At: noon.Add(crmstore.Retention)})
	s.write(crmstore.UpsertAny, noon, s.up(0, "firstname", "New"), s.up(0, "email", "new@example.com"))
	s.erase(1)
	key, name := crmstore.KeyOf(s.Store, record.Company, 0, "rec"), record.ID(8).Bytes()
	must(crmstore.Raw(s.Store).HSet(ctx, key, string(name[:]), crmstore.Raw(s.Store).HGet(ctx, key, string(name[:])).Val()+"\xff").Err())
	aside := crmstore.DoctorOrder{Quarantine: true, Cause: someone, At: noon}
	must(s.Examine(ctx, record.Company, aside, func(crmstore.Problem) error { return nil }))
	must(s.PutBack(ctx, record.Company, 8, someone, noon))
	_, err = s.TrimHistory(ctx, noon.AddDate(10, 0, 0), 1000)
	must(err)
	s.loseARecord(must)
	_, err = s.KeepClock(ctx)
	must(err)
	_, err = s.AcceptClock(ctx, someone)
	must(err)
}

// loseARecord has the server lose a record, and a person accept it.
func (s *scene) loseARecord(must func(error)) {
	ctx := s.t.Context()
	_, err := s.LookForLossOf(ctx, record.Company)
	must(err)
	must(crmstore.Raw(s.Store).Del(ctx, crmstore.KeyOf(s.Store, record.Company, 0, "rec")).Err())
	lost, err := s.AcceptLoss(ctx, someone, noon)
	must(err)
	if lost.Missing[record.Company] == 0 {
		s.t.Fatalf("lost %+v", lost)
	}
}

func (s *scene) useARun(must func(error)) {
	ctx := s.t.Context()
	run, err := s.CreateRun(ctx, crmstore.Run{
		ID: "stale@1", Kind: crmstore.RunWorkflow, Workflow: "stale", Revision: 1, Object: record.Contact, State: crmstore.RunRunning, StartedAt: noon, Fence: 1,
	})
	must(err)
	named := crmstore.RunMatches{Object: record.Contact, Run: run.ID, Fence: 1}
	must(s.SaveMatches(ctx, named, []crmstore.Matches{{IDs: []record.ID{3}}}))
	must(s.OpenRanges(ctx, run, 2))
	ranges, err := s.Ranges(ctx, run.ID)
	must(err)
	taken, err := s.TakeRange(ctx, run, ranges[0], "p1", noon)
	must(err)
	taken.Settled = 1
	must(s.KeepRange(ctx, run, taken))
	_, err = s.Reserve(ctx, crmstore.Reservation{Object: record.Contact, Run: run.ID, Workflow: "stale", Records: 5, Most: 9, MostAll: 9}, noon)
	must(err)
	for i, at := range []time.Time{noon, noon} { // the second adds to the sum up to that minute
		must(s.Settle(ctx, crmstore.Settlement{Object: record.Contact, Run: run.ID, Workflow: "stale", Deleted: int64(i) + 1}, at))
	}
	run, err = s.TakeRun(ctx, run)
	must(err)
	named.Fence = run.Fence
	order := crmstore.ArchiveOrder{
		Object: record.Contact, Cause: record.Cause{Workflow: "stale", Revision: 1, Run: run.ID}, At: noon, Enroll: "stale", Fence: run.Fence,
	}
	s.archive(order, s.targets("trigger 1", 3))
	s.mendADeletion(must)
	must(s.FinishMatches(ctx, named, []crmstore.Matches{{IDs: []record.ID{3}, Deleted: 1}}))
	run, err = s.SealRun(ctx, run)
	must(err)
	run.State = crmstore.RunDone
	_, err = s.SaveRun(ctx, run)
	must(err)
}

// mendADeletion has doctor write the enrollment and the event of contact 3's deletion.
func (s *scene) mendADeletion(must func(error)) {
	ctx, raw := s.t.Context(), crmstore.Raw(s.Store)
	key := func(name string) string {
		return crmstore.KeyOf(s.Store, record.Contact, record.ID(3).Partition(s.partitions()), name)
	}
	must(raw.HDel(ctx, key("enr:stale"), name(3)).Err())
	must(raw.HIncrBy(ctx, key("cnt"), "enr:stale", -1).Err())
	must(raw.HIncrBy(ctx, key("cnt"), "sum:enr:stale", -crmstore.SumOfIDs(3)).Err())
	must(raw.Del(ctx, key("log")).Err())
	must(raw.HDel(ctx, key("cnt"), "log").Err())
	order := crmstore.DoctorOrder{Repair: true, Cause: someone, At: noon}
	must(s.Examine(ctx, record.Contact, order, func(crmstore.Problem) error { return nil }))
}

// partitions is how many there are.
func (s *scene) partitions() int {
	n, err := s.Partitions(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// condition is something that makes a server refuse what a script does.
type condition struct {
	name    string
	make    func(*stage) bool // false: it does not apply to the call
	end     func(*stage)      // nil = nothing
	refused bool              // the script must say so
	done    bool              // the script must work all the same
}

// stage is a server of a test's own on which a call is carried out again.
type stage struct {
	t   *testing.T
	rdb *redis.Client
	scriptCall
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%s: %v", s.script.Name, err)
	}
}

// set up lets the keys be as they were.
func (s *stage) setUp() {
	s.t.Helper()
	ctx := context.Background()
	pipe := s.rdb.Pipeline()
	pipe.FlushAll(ctx)
	for key, dump := range s.before.dumps {
		pipe.Restore(ctx, key, 0, dump)
	}
	_, err := pipe.Exec(ctx)
	s.must(err)
}

// play sends the script and says what it did: whether it refused, and what the keys hold before and after.
func (s *stage) play(c condition, source string) (before, after state, applies bool, err error) {
	s.t.Helper()
	s.setUp()
	if !c.make(s) {
		return before, after, false, nil
	}
	before = stateOf(s.t, s.rdb, s.watched)
	_, err = s.rdb.Eval(context.Background(), source, s.keys, s.args...).Result()
	if errors.Is(err, redis.Nil) {
		err = nil
	}
	if c.end != nil {
		c.end(s)
	}
	return before, stateOf(s.t, s.rdb, s.watched), true, err
}

// wrong says what a script did that it must not do; "" = nothing.
func (s *stage) wrong(c condition, source string, normal *state) string {
	s.t.Helper()
	before, after, applies, err := s.play(c, source)
	switch {
	case !applies:
		return ""
	case err != nil && before.diff(after) != "":
		return fmt.Sprintf("it was refused (%v), and changed something all the same:\n%s", err, before.diff(after))
	case err == nil && c.refused:
		return "it was not refused"
	case err != nil && c.done:
		return fmt.Sprintf("it was refused: %v", err)
	case err == nil && normal != nil && normal.diff(after) != "":
		return fmt.Sprintf("it did something else than always:\n%s", normal.diff(after))
	}
	return ""
}

// config sets a setting of the server for the time of one call.
func config(name, value, after string) condition {
	return condition{
		name: name + " " + value,
		make: func(s *stage) bool { s.must(s.rdb.ConfigSet(context.Background(), name, value).Err()); return true },
		end:  func(s *stage) { s.must(s.rdb.ConfigSet(context.Background(), name, after).Err()) },
	}
}

// ofServer are the conditions that have nothing to do with what keys hold.
func ofServer() []condition {
	return []condition{
		config("maxmemory", "1", "0"),
		config("min-replicas-to-write", "1", "0"),
		{
			name: "read-only replica",
			make: func(s *stage) bool {
				s.must(s.rdb.Do(context.Background(), "replicaof", "127.0.0.1", "1").Err())
				return true
			},
			end: func(s *stage) { s.must(s.rdb.Do(context.Background(), "replicaof", "no", "one").Err()) },
		},
	}
}

// ofKey are the conditions of the call's key with number i: it is of another type, or what it holds cannot be worked with.
func ofKey(i int, kind string) []condition {
	ctx := context.Background()
	list := []condition{{name: fmt.Sprintf("key %d of another type", i+1), refused: true, make: func(s *stage) bool {
		s.must(s.rdb.Del(ctx, s.watched[i]).Err())
		if kind == "string" {
			s.must(s.rdb.RPush(ctx, s.watched[i], "7").Err())
		} else {
			s.must(s.rdb.Set(ctx, s.watched[i], "7", 0).Err())
		}
		return true
	}}}
	there := func(name string, damage func(s *stage) error) {
		list = append(list, condition{name: fmt.Sprintf("key %d: %s", i+1, name), make: func(s *stage) bool {
			s.must(damage(s))
			return true
		}})
	}
	switch kind {
	case "log":
		list = append(list, condition{name: "an empty log that is ahead", done: true, make: func(s *stage) bool {
			s.must(s.rdb.XAdd(ctx, xaddAt(s.watched[i], "99999999999999-3")).Err())
			s.must(s.rdb.XTrimMaxLen(ctx, s.watched[i], 0).Err())
			return true
		}})
		for _, id := range []string{"18446744073709551615-18446744073709551615", "18446744073709551615-18446744073709551614"} {
			list = append(list, condition{name: "a log at its end, " + id, refused: true, make: func(s *stage) bool {
				s.must(s.rdb.XAdd(ctx, xaddAt(s.watched[i], id)).Err())
				s.must(s.rdb.XTrimMaxLen(ctx, s.watched[i], 0).Err())
				return true
			}})
		}
		for _, id := range []string{"99999999999999-18446744073709551615", "99999999999999-999999999999999", "18446744073709551614-18446744073709551615"} {
			there("a log whose newest id is "+id, func(s *stage) error { return s.rdb.XAdd(ctx, xaddAt(s.watched[i], id)).Err() })
		}
	case "hash":
		for _, text := range []string{"x", "9223372036854775807", "", "0 x"} {
			there("every field is "+text, func(s *stage) error {
				for field := range s.rdb.HGetAll(ctx, s.watched[i]).Val() {
					s.must(s.rdb.HSet(ctx, s.watched[i], field, text).Err())
				}
				return nil
			})
		}
		for _, count := range []string{"live", "archived", "purged", "f", "log", "enr:stale", "list:1", "hold", "sum:enr:stale", "sum:list:1", "sum:hold"} {
			there(count+" is no number", func(s *stage) error { return s.rdb.HSet(ctx, s.watched[i], count, "x").Err() })
		}
		there("a minute is no number", func(s *stage) error {
			for _, arg := range s.args {
				if n, ok := arg.(int64); ok {
					s.must(s.rdb.HSet(ctx, s.watched[i], n, "x").Err())
				}
			}
			return nil
		})
		there("records with a slot out of reach", func(s *stage) error {
			for field, value := range s.rdb.HGetAll(ctx, s.watched[i]).Val() {
				if len(value) > 22 && len(field) == 8 {
					s.must(s.rdb.HSet(ctx, s.watched[i], field, value[:8]+"\xff\xff\xff\xff"+value[12:]).Err())
				}
			}
			return nil
		})
	case "string":
		for _, text := range []string{"x", "9223372036854775807", "abcdefghi"} {
			there("it holds "+text, func(s *stage) error { return s.rdb.Set(ctx, s.watched[i], text, 0).Err() })
		}
	case "list":
		for _, text := range []string{"x", "1.5", "-1", "99999999999"} {
			there("it holds "+text, func(s *stage) error { return s.rdb.LPush(ctx, s.watched[i], text).Err() })
		}
	}
	return list
}

// ofArguments are the conditions of the call's argument with number i: there is much more of it than the program sends.
func ofArguments(i, times int) condition {
	return condition{name: fmt.Sprintf("argument %d %d times", i+1, times), make: func(s *stage) bool {
		var text string
		switch arg := s.args[i].(type) {
		case []byte:
			text = string(arg)
		case string:
			text = arg
		default:
			return false
		}
		if len(text) < 8 {
			return false
		}
		s.args = slices.Clone(s.args)
		s.args[i] = strings.Repeat(text, times)
		return true
	}}
}

func xaddAt(key, id string) *redis.XAddArgs {
	return &redis.XAddArgs{Stream: key, ID: id, Values: []string{"o", "x", "f", ""}}
}

// kindOf is the type of the key with number i by the header; "" when the script itself asks.
func (c *scriptCall) kindOf(i int) string {
	if i >= len(c.keys) {
		return "hash"
	}
	kind := c.script.Types[min(i, len(c.script.Types)-1)]
	if kind == "*" {
		return "" // what it holds does not matter
	}
	if kind = strings.TrimSuffix(kind, ".."); kind != "*" {
		return kind
	}
	for _, part := range []struct{ mark, kind string }{{":enr:", "hash"}, {":col:", "string"}, {":list:", "string"}} {
		if strings.Contains(c.keys[i], part.mark) {
			return part.kind
		}
	}
	return ""
}

func (c *scriptCall) conditions() []condition {
	list := ofServer()
	for i := range c.watched {
		if kind := c.kindOf(i); kind != "" && !slices.Contains(c.watched[:i], c.watched[i]) {
			list = append(list, ofKey(i, kind)...)
		}
	}
	for i := range c.args {
		list = append(list, ofArguments(i, 5000), ofArguments(i, 9000)) // more than one command takes: after what was read, and before
	}
	return list
}

func newStage(t *testing.T) *stage {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: storetest.StartServer(t), ReadTimeout: time.Minute})
	t.Cleanup(func() { _ = rdb.Close() })
	return &stage{t: t, rdb: rdb}
}

// readOnlyScripts change nothing that is seen, so nothing can be half-written.
func readOnlyScripts() []string { return []string{"associate_look", "find_claims", "compact"} }

// Every script asks all that can refuse a write before its first one: whatever is wrong with a key, the server or an
// argument, a script that fails has changed nothing, and one that does not fail has done everything.
// The scripts are those that exist, their keys' types those of their headers.
func TestScriptsRefuseBeforeTheyWrite(t *testing.T) {
	t.Parallel()
	calls, met := recordCalls(t)
	st := newStage(t)
	plain := condition{make: func(*stage) bool { return true }, done: true}
	for _, info := range crmstore.Scripts() {
		if !met[info.Name] {
			t.Errorf("script %s was never called: let useTheRest do what it is for", info.Name)
		}
		if len(calls[info.Name]) == 0 && !slices.Contains(readOnlyScripts(), info.Name) {
			t.Errorf("no call of script %s changed anything: let useTheRest do what it is for", info.Name)
		}
		for n, c := range calls[info.Name] {
			st.scriptCall = c
			_, normal, _, _ := st.play(plain, info.Source)
			for _, one := range c.conditions() {
				want := &normal
				if !slices.ContainsFunc(ofServer(), func(s condition) bool { return s.name == one.name }) {
					want = nil
				}
				st.scriptCall = c
				if wrong := st.wrong(one, info.Source, want); wrong != "" {
					t.Errorf("%s, call %d, %s: %s", info.Name, n+1, one.name, wrong)
				}
			}
		}
	}
}

// check is a check of a script: the script without it, and what the test has to find out then.
type check struct {
	name, source string
	conditions   func(*scriptCall) []condition
}

// checksOf are the checks of a script that nothing else stands in for: without one of them it changes something, fails, and
// leaves that behind; or writes an event that nobody can read.
func checksOf(info crmstore.ScriptInfo) (list []check) {
	all := (*scriptCall).conditions
	for i, kind := range info.Types {
		if kind == "log" {
			list = append(list, check{
				fmt.Sprintf("the log, key %d", i+1), crmstore.SourceUnchecked(info, info.Text, i),
				func(*scriptCall) []condition { return ofKey(i, kind) },
			})
		}
	}
	for _, call := range []string{"wrong_counts(", "wrong_slots(", "wrong_key("} {
		if strings.Contains(info.Text, call) {
			source := crmstore.SourceUnchecked(info, strings.ReplaceAll(info.Text, call, "(function() return nil end)("), -1)
			list = append(list, check{call + "…)", source, all})
		}
	}
	return list
}

// The test above finds out when a check is taken out of a script.
func TestScriptsNeedTheirChecks(t *testing.T) {
	t.Parallel()
	calls, _ := recordCalls(t)
	st := newStage(t)
	checked := 0
	for _, info := range crmstore.Scripts() {
		for _, check := range checksOf(info) {
			found := slices.ContainsFunc(calls[info.Name], func(c scriptCall) bool {
				return slices.ContainsFunc(check.conditions(&c), func(one condition) bool {
					st.scriptCall = c
					return st.wrong(one, check.source, nil) != ""
				})
			})
			if checked++; !found {
				t.Errorf("%s without its check of %s is not found out", info.Name, check.name)
			}
		}
	}
	if checked < 20 {
		t.Errorf("%d checks only: this test looks at the wrong place", checked)
	}
}
