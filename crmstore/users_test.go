package crmstore_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

func mayContacts(perms ...crmstore.Permission) crmstore.Grants {
	return crmstore.Grants{Permissions: perms, Objects: []record.ObjectType{record.Contact}}
}

// withUser adds a user with the permissions and gives the store in that user's hands.
func withUser(t *testing.T, s *crmstore.Store, name string, g crmstore.Grants) *crmstore.Store {
	t.Helper()
	if _, err := s.AddUser(t.Context(), name, "", false, someone, storetest.Time); err != nil {
		t.Fatal(err)
	}
	if len(g.Permissions) > 0 {
		if _, err := s.Grant(t.Context(), name, g, someone, storetest.Time); err != nil {
			t.Fatal(err)
		}
	}
	return s.As(name)
}

func wantRefused(t *testing.T, err error, want crmstore.Permission) {
	t.Helper()
	var denied *crmstore.PermissionError
	if !errors.As(err, &denied) || denied.Permission != want {
		t.Errorf("error %v, want a refusal for lack of %q", err, want)
	}
}

func TestUsers_Lifecycle(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		ctx, s := t.Context(), storetest.OpenWith(t, o)
		boss, err := s.UserNamed(ctx, storetest.User)
		if err != nil || !boss.SuperAdmin || boss.AddedBy != storetest.User {
			t.Fatalf("who created the account is %+v, %v; want a super admin", boss, err)
		}
		if _, err := s.AddUser(ctx, "eve", "eve@example.com", false, someone, storetest.Time); err != nil {
			t.Fatal(err)
		}
		if _, err := s.AddUser(ctx, "eve", "", true, someone, storetest.Time); !errors.Is(err, record.ErrExists) {
			t.Errorf("adding eve again: %v, want ErrExists", err)
		}
		eve, err := s.Grant(ctx, "eve", crmstore.Grants{
			Permissions: []crmstore.Permission{crmstore.CanRestore, crmstore.CanDelete, crmstore.CanView},
			Objects:     []record.ObjectType{record.Contact, record.Deal},
		}, someone, storetest.Time)
		if err != nil || eve.Rights() != "contact: view, delete; deal: view, delete; restore" {
			t.Errorf("granted: %q, %v", eve.Rights(), err)
		}
		if eve, err = s.Revoke(ctx, "eve", mayContacts(crmstore.CanView, crmstore.CanDelete), someone, storetest.Time); err != nil || eve.Rights() != "deal: view, delete; restore" {
			t.Errorf("revoked: %q, %v", eve.Rights(), err)
		}
		if _, err := s.Revoke(ctx, "eve", mayContacts(crmstore.CanView), someone, storetest.Time); err != nil {
			t.Errorf("revoking what eve does not have: %v", err)
		}
		if _, err := s.SetUserEmail(ctx, "eve", "eve@example.org", someone, storetest.Time); err != nil {
			t.Error(err)
		}
		if err := s.RemoveUser(ctx, "eve", someone, storetest.Time); err != nil {
			t.Error(err)
		}
		if _, err := s.UserNamed(ctx, "eve"); !errors.Is(err, record.ErrNotFound) {
			t.Errorf("eve after being removed: %v, want ErrNotFound", err)
		}
		want := []string{
			`add-user eve: from nobody to nothing, e-mail eve@example.com`,
			`grant eve: from nothing to contact: view, delete; deal: view, delete; restore`,
			`revoke eve: from contact: view, delete; deal: view, delete; restore to deal: view, delete; restore`,
			`set-user-email eve: from "eve@example.com" to "eve@example.org"`,
			`remove-user eve: from deal: view, delete; restore to nobody`,
		}
		if diff := cmp.Diff(want, accountEvents(t, s)[1:]); diff != "" {
			t.Errorf("audit events (-want +got):\n%s", diff)
		}
	})
}

// accountEvents are the account's own events, as op and detail.
func accountEvents(t *testing.T, s *crmstore.Store) []string {
	t.Helper()
	var events []string
	err := s.Audit(t.Context(), crmstore.AuditFilter{}, func(e record.Event) error {
		if e.Object == "" {
			events = append(events, strings.TrimSpace(e.Op+" "+e.Detail))
			if e.Actor == "" || e.Actor == someone.Actor {
				t.Errorf("event %+v does not say who really did it", e)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func TestUsers_RefuseWhatIsWrong(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), storetest.Open(t)
	for _, name := range []string{"", " anna", "anna ", "-anna", "an\nna", "system", strings.Repeat("a", 101), "\xff"} {
		if _, err := s.AddUser(ctx, name, "", false, someone, storetest.Time); err == nil {
			t.Errorf("a user called %q was added", name)
		}
	}
	for _, email := range []string{"x", "Anna <anna@example.com>", "anna@example.com\nBcc: all@example.com"} {
		if _, err := s.AddUser(ctx, "anna", email, false, someone, storetest.Time); err == nil {
			t.Errorf("a user with e-mail %q was added", email)
		}
	}
	if _, err := s.Grant(ctx, storetest.User, crmstore.Grants{Permissions: []crmstore.Permission{crmstore.CanEdit}}, someone, storetest.Time); err == nil {
		t.Error("edit of no object was granted")
	}
	if _, err := s.Grant(ctx, storetest.User, crmstore.Grants{Objects: []record.ObjectType{"boat"}}, someone, storetest.Time); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("rights on boats: %v, want ErrNotFound", err)
	}
	if _, err := s.Grant(ctx, "nobody", mayContacts(crmstore.CanEdit), someone, storetest.Time); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("rights for nobody: %v, want ErrNotFound", err)
	}
}

// However many take each other's right at the same moment, one super admin is left.
func TestUsers_LastSuperAdminStays(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		ctx, s := t.Context(), storetest.OpenWith(t, o)
		admins := crmstore.Grants{Permissions: []crmstore.Permission{crmstore.IsSuperAdmin}}
		if _, err := s.Revoke(ctx, storetest.User, admins, someone, storetest.Time); !errors.Is(err, crmstore.ErrLastSuperAdmin) {
			t.Errorf("revoking the only one: %v, want ErrLastSuperAdmin", err)
		}
		if err := s.RemoveUser(ctx, storetest.User, someone, storetest.Time); !errors.Is(err, crmstore.ErrLastSuperAdmin) {
			t.Errorf("removing the only one: %v, want ErrLastSuperAdmin", err)
		}
		names := []string{storetest.User, "a", "b", "c"}
		for _, name := range names[1:] {
			if _, err := s.AddUser(ctx, name, "", true, someone, storetest.Time); err != nil {
				t.Fatal(err)
			}
		}
		var all sync.WaitGroup
		for _, name := range names {
			all.Go(func() {
				_, err := s.As(name).Revoke(ctx, name, admins, someone, storetest.Time)
				if err != nil && !errors.Is(err, crmstore.ErrLastSuperAdmin) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		left := 0
		users, err := s.Users(ctx)
		for _, u := range users {
			if u.SuperAdmin {
				left++
			}
		}
		if err != nil || left != 1 {
			t.Errorf("%d super admins left, %v; want 1", left, err)
		}
	})
}

// Each act of the store, and what it needs. The user of each case has everything but that.
func TestPermissions(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		d := newDesk(t, o)
		d.write(crmstore.UpsertAny, noon, d.up(1), d.up(2), d.up(3))
		ctx := t.Context()
		all := crmstore.Permissions()[:8]
		withUser(t, d.Store, "nosy", mayContacts(all...))
		nosy := d.As("nosy")
		for name, c := range map[string]struct {
			needs crmstore.Permission
			do    func(s *crmstore.Store) error
		}{
			"read":  {crmstore.CanView, func(s *crmstore.Store) error { _, err := s.Get(ctx, record.Contact, []record.ID{1}); return err }},
			"count": {crmstore.CanView, func(s *crmstore.Store) error { _, err := s.Count(ctx, record.Contact); return err }},
			"find":  {crmstore.CanView, func(s *crmstore.Store) error { _, err := s.FindByEmail(ctx, "x@example.com"); return err }},
			"scan": {crmstore.CanView, func(s *crmstore.Store) error {
				return s.ReadColumns(ctx, record.Contact, 0, 16, crmstore.Want{}, func(*crmstore.Columns) error { return nil })
			}},
			"audit": {crmstore.CanView, func(s *crmstore.Store) error {
				return s.Audit(ctx, crmstore.AuditFilter{Object: record.Contact}, func(record.Event) error { return nil })
			}},
			"change": {crmstore.CanEdit, func(s *crmstore.Store) error {
				_, err := s.Write(ctx, record.Contact, crmstore.UpsertAny, nil, someone, noon)
				return err
			}},
			"list": {crmstore.CanEdit, func(s *crmstore.Store) error {
				_, err := s.CreateList(ctx, record.Contact, "x", someone, noon)
				return err
			}},
			"delete one": {crmstore.CanDelete, func(s *crmstore.Store) error {
				_, err := s.Archive(ctx, crmstore.ArchiveOrder{Object: record.Contact, At: noon}, d.targets("", 1))
				return err
			}},
			"delete two": {crmstore.CanBulkDelete, func(s *crmstore.Store) error {
				_, err := s.Archive(ctx, crmstore.ArchiveOrder{Object: record.Contact, At: noon}, d.targets("", 1, 2))
				return err
			}},
			"delete two in two calls": {crmstore.CanBulkDelete, func(s *crmstore.Store) error {
				_, err := s.Archive(ctx, crmstore.ArchiveOrder{Object: record.Contact, At: noon, Total: 2}, d.targets("", 3))
				return err
			}},
			"delete as a workflow": {crmstore.CanManageWorkflows, func(s *crmstore.Store) error {
				_, err := s.Archive(ctx, crmstore.ArchiveOrder{Object: record.Contact, At: noon, Cause: record.Cause{Workflow: "w"}}, d.targets("", 1, 2))
				return err
			}},
			"restore": {crmstore.CanRestore, func(s *crmstore.Store) error {
				_, err := s.Restore(ctx, crmstore.RestoreOrder{Object: record.Contact, At: noon}, []record.ID{1})
				return err
			}},
			"stop a run": {crmstore.CanManageWorkflows, func(s *crmstore.Store) error {
				_, err := s.SealRun(ctx, crmstore.Run{ID: "w@1", Workflow: "w", Version: 7})
				if errors.Is(err, record.ErrConflict) {
					return nil
				}
				return err
			}},
			"take a run": {crmstore.CanManageWorkflows, func(s *crmstore.Store) error {
				_, err := s.TakeRun(ctx, crmstore.Run{ID: "w@1", Workflow: "w", Version: 7})
				if errors.Is(err, record.ErrConflict) {
					return nil
				}
				return err
			}},
			"publish": {crmstore.CanManageWorkflows, func(s *crmstore.Store) error {
				_, err := s.SaveWorkflow(ctx, crmstore.Workflow{Name: "w", Version: 7}, nil, "x", someone, noon)
				if errors.Is(err, record.ErrConflict) {
					return nil
				}
				return err
			}},
		} {
			if err := c.do(nosy); errors.As(err, new(*crmstore.PermissionError)) {
				t.Errorf("%s: %v, although nothing is missing", name, err)
			}
			if _, err := d.Revoke(ctx, "nosy", mayContacts(c.needs), someone, noon); err != nil {
				t.Fatal(err)
			}
			wantRefused(t, c.do(nosy), c.needs)
			if _, err := d.Grant(ctx, "nosy", mayContacts(c.needs), someone, noon); err != nil {
				t.Fatal(err)
			}
		}
		for _, err := range []error{
			errOf(nosy.SetTier(ctx, crmstore.Free, someone, noon)),
			errOf(nosy.AddUser(ctx, "friend", "", true, someone, noon)),
			errOf(nosy.Grant(ctx, "nosy", mayContacts(crmstore.IsSuperAdmin), someone, noon)),
			nosy.RemoveUser(ctx, storetest.User, someone, noon),
			errOf(nosy.RemoveProperty(ctx, record.Contact, "phone", someone, noon)),
			nosy.Doctor(ctx, record.Contact, true, func(crmstore.Problem) error { return nil }),
		} {
			wantRefused(t, err, crmstore.IsSuperAdmin)
		}
	})
}

func errOf[T any](_ T, err error) error { return err }

// Nobody, a stranger and somebody who calls himself system see nothing, and learn no user's name.
func TestPermissions_Strangers(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	for _, name := range []string{"", "stranger", "system"} {
		_, err := s.As(name).Account(t.Context())
		wantRefused(t, err, "")
		if err != nil && strings.Contains(err.Error(), storetest.User) {
			t.Errorf("%q is told a user's name: %v", name, err)
		}
		_, err = s.As(name).Users(t.Context())
		wantRefused(t, err, "")
	}
	if _, err := s.AsSystem().Account(t.Context()); err != nil {
		t.Errorf("the system itself: %v", err)
	}
	if _, err := crmstore.Open(t.Context(), crmstore.Config{URL: "memory", User: "system"}); err == nil {
		t.Error("a store was opened as system")
	}
}

// A refusal says who can change it and how, is counted, and stands in the audit log.
func TestPermissions_RefusalsAreToldCountedAndAudited(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		ctx, s := t.Context(), storetest.OpenWith(t, o)
		eve := withUser(t, s, "eve", crmstore.Grants{})
		_, err := eve.Count(ctx, record.Company)
		want := "eve lacks the permission view for companies; a super admin (storetest) can change that with: workflow users grant eve view --object company"
		if err == nil || err.Error() != want {
			t.Errorf("refusal %v\nwant    %s", err, want)
		}
		if ok, err := eve.May(ctx, record.Company, crmstore.CanView); ok || err != nil {
			t.Errorf("May: %v, %v", ok, err)
		}
		_, err = s.As("stranger").Count(ctx, record.Company)
		if err == nil || !strings.Contains(err.Error(), "workflow users add stranger") {
			t.Errorf("a stranger is told %v", err)
		}
		got, err := s.Refusals(ctx)
		if diff := cmp.Diff(map[string]int64{"view": 1, crmstore.NotAUser: 1}, got); diff != "" || err != nil {
			t.Errorf("refusals (-want +got):\n%s%v", diff, err)
		}
		events := accountEvents(t, s)
		if diff := cmp.Diff([]string{"refuse view for company", "refuse not a user of the account"}, events[len(events)-2:]); diff != "" {
			t.Errorf("audit events (-want +got):\n%s", diff)
		}
	})
}

// Nobody can publish in another user's name, or by changing the workflow without a new revision.
func TestSaveWorkflow_PublisherIsWhoPublishes(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), storetest.Open(t)
	eve := withUser(t, s, "eve", crmstore.Grants{Permissions: []crmstore.Permission{crmstore.CanManageWorkflows}})
	w, rev := newWorkflow("w") // says that somebody else publishes it
	saved, err := eve.SaveWorkflow(ctx, w, rev, "publish", record.Cause{Actor: storetest.User}, storetest.Time)
	if err != nil || saved.PublishedBy != "eve" {
		t.Fatalf("published by %q, %v; want eve", saved.PublishedBy, err)
	}
	if r, err := s.Revision(ctx, "w", 1); err != nil || r.By != "eve" {
		t.Errorf("revision by %q, %v; want eve", r.By, err)
	}
	forged := saved
	forged.PublishedBy = storetest.User
	if _, err := eve.SaveWorkflow(ctx, forged, nil, "switch-on", someone, storetest.Time); err == nil {
		t.Error("eve made the workflow act as somebody else")
	}
	if _, err := s.SaveWorkflow(ctx, forged, nil, "take-over", someone, storetest.Time); err != nil {
		t.Errorf("taking it over: %v", err)
	}
}
