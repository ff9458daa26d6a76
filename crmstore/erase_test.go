package crmstore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// personTexts are the texts by which the person of a [scene] could be found: addresses and whole names anywhere, and what
// stood in the contact alone.
func personTexts() []string {
	return []string{"zebedee quillfeather", "quillfeather, zebedee", "zq@example.com", "5550117", "zq2@example.com", "5550119", "oldquill", "zwolle"}
}

// scene is a store on a server of its own: contact 1 is a person, who is named in places of all kinds; 2 and 3 are others.
type scene struct {
	*desk
	url string
}

func newScene(t *testing.T) *scene {
	t.Helper()
	url := "redis://" + storetest.StartServer(t)
	s, err := crmstore.Open(t.Context(), crmstore.Config{URL: url, User: storetest.User})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if _, err := s.CreateAccount(t.Context(), crmstore.Professional, 3, someone, noon); err != nil {
		t.Fatal(err)
	}
	schema, err := s.Schema(t.Context(), record.Contact)
	if err != nil {
		t.Fatal(err)
	}
	sc := &scene{&desk{s, t, schema}, url}
	sc.fill()
	return sc
}

func (s *scene) fill() {
	t, ctx := s.t, s.t.Context()
	person := s.up(1, "email", "Zq@Example.com", "firstname", "Zebedee", "lastname", "Quillfeather", "phone", "+1 5550117",
		"mobilephone", "5550118", "city", "Zwolle", "lifecyclestage", "lead", "num_associated_deals", 3)
	s.write(crmstore.UpsertAny, noon, person, s.up(2, "email", "b@example.com", "firstname", "Ben"), s.up(3, "email", "c@example.com"))
	s.write(crmstore.UpsertAny, noon.Add(time.Hour), s.up(1, "city", "Breda"), s.up(2, "city", "Breda"))
	s.write(crmstore.UpsertAny, noon.Add(2*time.Hour), s.up(1, "city", "Utrecht"))
	s.write(crmstore.UpsertAny, noon.Add(3*time.Hour), s.up(1, "email", "zq2@example.com", "phone", "5550119", "lastname", "Oldquill"))
	s.write(crmstore.UpsertAny, noon.Add(4*time.Hour), s.up(1, "email", "Zq@Example.com", "phone", "+1 5550117", "lastname", "Quillfeather"))
	keep, err := s.CreateList(ctx, record.Contact, "keep", someone, noon)
	if err == nil {
		_, _, err = s.SetMembers(ctx, keep, []record.ID{1, 2, 3}, true, record.Cause{Reason: "asked for by zq@example.com"}, noon)
	}
	if err == nil {
		_, err = s.SaveWorkflow(ctx, crmstore.Workflow{Name: "stale", Object: record.Contact}, nil, "publish",
			record.Cause{Reason: "for Quillfeather, Zebedee"}, noon)
	}
	if err == nil {
		_, err = s.SetTier(ctx, crmstore.Enterprise, record.Cause{Reason: "Zebedee QUILLFEATHER paid, call 5550118"}, noon)
	}
	for p := 0; p < 3 && err == nil; p++ {
		err = s.MarkExisting(ctx, record.Contact, "stale", 1, []record.PartitionIDs{{Partition: p, IDs: []record.ID{1, 2, 3}}})
	}
	run := crmstore.Run{
		ID: "delete@1", Kind: crmstore.RunDelete, Selection: &crmstore.Selection{Where: `contact.email == "zq@example.com"`},
		Why: "Zebedee asked", Object: record.Contact, State: crmstore.RunRunning, StartedAt: noon,
	}
	if err == nil {
		run, err = s.CreateRun(ctx, run)
	}
	if err == nil {
		run.State = crmstore.RunDone
		_, err = s.SaveRun(ctx, run, record.Event{Op: "finish", At: noon, Detail: "zq@example.com was alone"})
	}
	if err == nil {
		_, err = s.Write(ctx, record.Company, crmstore.UpsertAny, []crmstore.Upsert{{ID: 8}}, someone, noon)
	}
	if err == nil {
		pairs := []crmstore.Pair{{A: record.Ref{Object: record.Contact, ID: 1}, B: record.Ref{Object: record.Company, ID: 8}}}
		_, err = s.Associate(ctx, pairs, true, someone, noon)
	}
	if err == nil {
		err = s.fillBin()
	}
	if err != nil {
		t.Fatal(err)
	}
	s.archive(crmstore.ArchiveOrder{Object: record.Contact, Cause: record.Cause{Reason: "Quillfeather's friend"}, At: noon}, s.targets("", 3))
	s.restore(byHand, 3)
}

// found says which of the texts are anywhere on the server, in any key or value, and where.
func (s *scene) found(texts []string) (where []string) {
	s.t.Helper()
	for key, value := range storetest.Dump(s.t, s.url) {
		for _, text := range texts {
			if strings.Contains(strings.ToLower(key+"\x00"+value), text) {
				where = append(where, text+" in "+key)
			}
		}
	}
	return where
}

func (s *scene) erase(ids ...record.ID) crmstore.EraseReport {
	s.t.Helper()
	report, err := s.Erase(s.t.Context(), crmstore.EraseOrder{Cause: record.Cause{Run: "erase@1", Reason: "Zebedee asked for it"}, At: noon.AddDate(0, 0, 1)}, ids)
	if err != nil {
		s.t.Fatal(err)
	}
	return report
}

// wantErased holds the whole server against what must be left of contact 1 and of the others.
func (s *scene) wantErased() {
	s.t.Helper()
	t := s.t
	if where := s.found(personTexts()); len(where) > 0 {
		t.Errorf("the person is still found:\n%s", strings.Join(where, "\n"))
	}
	if got := s.get(1); got != nil {
		t.Errorf("contact 1 is still there: %+v", got)
	}
	tombs, err := s.Tombstones(t.Context(), record.Contact, []record.ID{1, 2})
	want := []crmstore.Tombstone{{ID: 1, At: noon.AddDate(0, 0, 1), Actor: storetest.User, Run: "erase@1"}}
	if d := cmp.Diff(want, tombs); d != "" || err != nil {
		t.Errorf("tombstones (%v), -want +got:\n%s", err, d)
	}
	blocks, err := s.CheckAddresses(t.Context(), []string{"ZQ@example.com", "b@example.com"})
	if err != nil || !blocks[0].Blocked || blocks[1].Blocked {
		t.Errorf("blocked: %+v, %v; want the first alone", blocks, err)
	}
	if found := s.doctor(false); len(found) != 0 {
		t.Errorf("doctor finds %v", found)
	}
	for key := range storetest.Dump(t, s.url) { // a half that a crash left at the company is doctor's, and is not seen
		if strings.Contains(key, "/contact/") && strings.HasSuffix(key, ":assoc") {
			t.Errorf("an association is left in %s", key)
		}
	}
	if tied, err := s.Associations(t.Context(), record.Company, []record.ID{8}); err != nil || len(tied[0]) > 0 {
		t.Errorf("company 8 is associated with %v, %v", tied, err)
	}
	events := map[string]int{}
	err = s.Audit(t.Context(), crmstore.AuditFilter{}, func(e record.Event) error {
		events[e.Op]++
		if e.Op == "permanent-delete" && !cmp.Equal(e.IDs, []record.ID{1}) {
			t.Errorf("the event names %v", e.IDs)
		}
		return nil
	})
	for op, n := range map[string]int{"permanent-delete": 1, "set-tier": 1, "finish": 1, "publish": 1, "create-account": 1} {
		if events[op] != n || err != nil {
			t.Errorf("%d events %s (%v), want %d; all: %v", events[op], op, err, n, events)
		}
	}
	for id, city := range map[record.ID]string{2: "Breda", 3: ""} {
		if got := s.text(id, "city"); got != city {
			t.Errorf("contact %d is in %q, want %q", id, got, city)
		}
	}
	if n, err := s.Count(t.Context(), record.Contact); err != nil || n != (crmstore.Counts{Live: 2}) {
		t.Errorf("%+v, %v; want two live contacts", n, err)
	}
}

// After a permanent deletion no key and no value of the server holds the person's name, e-mail address or phone number.
func TestErase(t *testing.T) {
	t.Parallel()
	for _, binned := range []bool{false, true} {
		t.Run(fmt.Sprint("in the bin ", binned), func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			if where := s.found(personTexts()); len(where) < 8 {
				t.Fatalf("the scene does not name the person in enough places: %v", where)
			}
			if binned {
				s.archive(byRun("stale@1"), s.targets("Zebedee", 1))
			}
			report := s.erase(1, 77, 1)
			told := crmstore.Confirmation{Why: crmstore.NoMailServer, User: storetest.User}
			want := crmstore.EraseReport{Run: "erase@1", Changed: 6, Confirmation: told, Mentions: []crmstore.Mention{}, Results: []crmstore.EraseResult{
				{ID: 1, Outcome: crmstore.Erased, Blocked: true}, {ID: 77, Outcome: crmstore.NothingThere}, {ID: 1, Outcome: crmstore.Erased, Blocked: true},
			}}
			if d := cmp.Diff(want, report); d != "" {
				t.Errorf("report (-want +got):\n%s", d)
			}
			s.wantErased()

			s.wantResults(s.write(crmstore.UpsertAny, noon, s.up(1, "firstname", "New"), s.up(0, "email", "zq@EXAMPLE.com"), s.up(9, "firstname", "Nine")),
				"refused 1: record was deleted permanently; its id is never used again",
				"refused 0: e-mail zq@example.com is on the block list", "created 9")
			again, err := s.Erase(t.Context(), crmstore.EraseOrder{At: noon}, []record.ID{1})
			if err != nil || again.Results[0].Outcome != crmstore.ErasedBefore {
				t.Errorf("a second time: %+v, %v", again, err)
			}
			restored := s.restore(byHand, 1)
			if restored[0].Outcome != crmstore.NotThere {
				t.Errorf("a restore says %+v", restored)
			}
		})
	}
}

// What people wrote and what would change its meaning is mentioned, and left as it is.
func TestEraseMentions(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	ctx := t.Context()
	revision := &crmstore.Revision{Number: 1, Source: []byte(`contact.email != "zq@example.com"`), At: noon}
	_, err := s.SaveWorkflow(ctx, crmstore.Workflow{Name: "except", Object: record.Contact, Revision: 1}, revision, "publish", someone, noon)
	if err == nil {
		_, err = s.CreateList(ctx, record.Contact, "friends of Zebedee", someone, noon)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.write(crmstore.UpsertAny, noon, s.up(4, "firstname", "Owner", "lastname", storetest.User))
	report := s.erase(1, 4)
	want := []crmstore.Mention{{Kind: "list", Name: "friends of Zebedee"}, {Kind: "user", Name: storetest.User}, {Kind: "workflow", Name: "except"}}
	if d := cmp.Diff(want, report.Mentions); d != "" {
		t.Errorf("mentions (-want +got):\n%s", d)
	}
	err = s.Audit(ctx, crmstore.AuditFilter{}, func(e record.Event) error {
		if e.Actor != storetest.User && e.Actor != "system" {
			t.Errorf("the actor of %s is %q", e.Op, e.Actor)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// An address that another, live contact has by now is that contact's, and is not blocked.
func TestEraseSharedAddress(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.archive(byRun("stale@1"), s.targets("", 1))
	s.write(crmstore.UpsertAny, noon, s.up(5, "email", "zq@example.com"))
	report := s.erase(1)
	if r := report.Results[0]; r.Outcome != crmstore.Erased || r.Blocked || r.Holder != 5 {
		t.Errorf("%+v, want erased, not blocked, since contact 5 has the address", r)
	}
	if id, err := s.FindByEmail(t.Context(), "zq@example.com"); id != 5 || err != nil {
		t.Errorf("the address is contact %d's, %v", id, err)
	}
	if found := s.doctor(false); len(found) != 0 {
		t.Errorf("doctor finds %v", found)
	}
}

// Who lacks the permission removes nothing for good and blocks nothing.
func TestEraseNeedsPermission(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{})
	d.write(crmstore.UpsertAny, noon, d.up(1, "email", "a@x.org"))
	ctx, eve := t.Context(), d.As("eve")
	_, erase := eve.Erase(ctx, crmstore.EraseOrder{At: noon}, []record.ID{1})
	_, purge := eve.Purge(ctx, crmstore.PurgeOrder{Object: record.Contact, At: noon})
	_, block := eve.BlockAddresses(ctx, []string{"b@x.org"}, someone, noon)
	_, unblock := eve.UnblockAddresses(ctx, []string{"b@x.org"}, someone, noon)
	_, check := eve.CheckAddresses(ctx, []string{"b@x.org"})
	_, tombs := eve.Tombstones(ctx, record.Contact, []record.ID{1})
	for what, err := range map[string]error{"erase": erase, "purge": purge, "block": block, "unblock": unblock, "check": check, "tombstones": tombs} {
		var denied *crmstore.PermissionError
		if !errors.As(err, &denied) {
			t.Errorf("%s: %v, want a *PermissionError", what, err)
		}
	}
	if d.get(1) == nil {
		t.Error("contact 1 is gone")
	}
}

// breaker lets so many commands or pipelines of a client through, and none after them, as if the process had been killed.
type breaker struct{ left atomic.Int64 }

func breakAfter(steps int) *breaker {
	b := &breaker{}
	b.left.Store(int64(steps))
	return b
}

var errBroken = errors.New("the process was killed")

func (b *breaker) step() error {
	if b.left.Add(-1) < 0 {
		return errBroken
	}
	return nil
}

func (b *breaker) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (b *breaker) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := b.step(); err != nil {
			cmd.SetErr(err)
			return err
		}
		return next(ctx, cmd)
	}
}

func (b *breaker) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if err := b.step(); err != nil {
			for _, cmd := range cmds {
				cmd.SetErr(err)
			}
			return err
		}
		return next(ctx, cmds)
	}
}

// A permanent deletion that dies between any two commands is finished by whoever comes next, or has not begun.
func TestEraseInterrupted(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	begun := 0
	for after := 0; ; after++ {
		victim, err := crmstore.Open(t.Context(), crmstore.Config{URL: s.url, User: storetest.User})
		if err != nil {
			t.Fatal(err)
		}
		b := breakAfter(after)
		crmstore.Raw(victim).AddHook(b)
		_, err = victim.Erase(t.Context(), crmstore.EraseOrder{Cause: record.Cause{Run: "erase@1", Reason: "Zebedee asked for it"}, At: noon.AddDate(0, 0, 1)}, []record.ID{1})
		_ = victim.Close()
		if err != nil && !errors.Is(err, errBroken) {
			t.Fatalf("after %d commands: %v", after, err)
		}
		intents, readErr := crmstore.Raw(s.Store).HLen(t.Context(), crmstore.KeyErasing(s.Store)).Result()
		if readErr != nil {
			t.Fatal(readErr)
		}
		if intents == 0 && err != nil && s.get(1) != nil {
			if r := s.get(1); r.Deletion != nil || s.text(1, "firstname") != "Zebedee" {
				t.Fatalf("after %d commands nothing was begun, and contact 1 is %+v", after, r)
			}
			continue
		}
		begun++
		if after%3 == 0 { // doctor does it too
			if found := strings.Join(s.doctor(true), ","); intents > 0 && !strings.Contains(found, "erasure 1 repaired") {
				t.Errorf("after %d commands doctor finds %s", after, found)
			}
		} else if _, err := s.FinishErasures(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.wantErased()
		if t.Failed() {
			t.Fatalf("after %d commands", after)
		}
		if err == nil {
			break
		}
		if err := crmstore.Raw(s.Store).FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		s = newSceneOn(s)
	}
	if begun < 10 {
		t.Errorf("only %d interruptions after its beginning", begun)
	}
}

// newSceneOn fills the server of a scene again.
func newSceneOn(old *scene) *scene {
	t := old.t
	s, err := crmstore.Open(t.Context(), crmstore.Config{URL: old.url, User: storetest.User})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if _, err := s.CreateAccount(t.Context(), crmstore.Professional, 3, someone, noon); err != nil {
		t.Fatal(err)
	}
	sc := &scene{&desk{s, t, old.schema}, old.url}
	sc.fill()
	return sc
}
