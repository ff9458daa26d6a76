package crmstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/unseen"
)

// ErrLastSuperAdmin refuses a change after which nobody could manage the account any more.
var ErrLastSuperAdmin = errors.New("the account would have no super admin left; make somebody else super admin first")

// AddUser adds a user who may do nothing yet but look around, or everything when superAdmin. email may be "".
// ErrExists. Needs super-admin, as every change of users does; every such change is audited.
func (s *Store) AddUser(ctx context.Context, name, email string, superAdmin bool, c record.Cause, at time.Time) (User, error) {
	if err := s.require(ctx, "", IsSuperAdmin); err != nil {
		return User{}, err
	}
	if !validUserName(name) {
		return User{}, userNameError(name)
	}
	u := newUser(name, s.by(c).Actor, at)
	var err error
	if u.Email, err = userEmail(email); err != nil {
		return User{}, err
	}
	u.SuperAdmin = superAdmin
	detail := fmt.Sprintf("%s: from nobody to %s", name, u.Rights())
	if u.Email != "" {
		detail += ", e-mail " + u.Email
	}
	saved, err := s.saveUser(ctx, userChange{name: name, after: &u, op: "add-user", detail: detail, cause: c, at: at})
	switch {
	case errors.Is(err, record.ErrConflict):
		return User{}, fmt.Errorf("add user %s: %w", name, record.ErrExists)
	case err != nil:
		return User{}, fmt.Errorf("add user %s: %w", name, err)
	}
	return saved, nil
}

// userEmail is the address alone, so that nothing that stands beside it reaches the head of a mail.
func userEmail(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	a, err := mail.ParseAddress(text)
	if err == nil {
		_, err = record.NormalAddress(text)
	}
	if err != nil || a.Address != text || strings.ContainsFunc(text, unseen.Is) {
		return "", fmt.Errorf("%q: %w; want an address alone, such as anna@example.com", text, record.ErrNoAddress)
	}
	return text, nil
}

// SetUserEmail changes where confirmations to a user go; "" = nowhere. ErrNotFound.
func (s *Store) SetUserEmail(ctx context.Context, name, email string, c record.Cause, at time.Time) (User, error) {
	if err := s.require(ctx, "", IsSuperAdmin); err != nil {
		return User{}, err
	}
	email, err := userEmail(email)
	if err != nil {
		return User{}, err
	}
	return s.changeUser(ctx, userChange{name: name, op: "set-user-email", cause: c, at: at}, func(u *User) string {
		before := u.Email
		u.Email = email
		return fmt.Sprintf("from %q to %q", before, email)
	})
}

// Grants are permissions to give to a user or to take away.
type Grants struct {
	Permissions []Permission
	Objects     []record.ObjectType // for which view, edit and delete among them count
}

// Grant gives permissions; those that the user has already stay. ErrNotFound for a user or an object type that the
// account does not have.
func (s *Store) Grant(ctx context.Context, name string, g Grants, c record.Cause, at time.Time) (User, error) {
	if err := s.require(ctx, "", IsSuperAdmin); err != nil {
		return User{}, err
	}
	return s.changeRights(ctx, userChange{name: name, op: "grant", cause: c, at: at}, g, true)
}

// Revoke takes permissions away; those that the user does not have do not matter. ErrNotFound as [Store.Grant];
// ErrLastSuperAdmin.
func (s *Store) Revoke(ctx context.Context, name string, g Grants, c record.Cause, at time.Time) (User, error) {
	if err := s.require(ctx, "", IsSuperAdmin); err != nil {
		return User{}, err
	}
	return s.changeRights(ctx, userChange{name: name, op: "revoke", cause: c, at: at}, g, false)
}

func (s *Store) changeRights(ctx context.Context, ch userChange, g Grants, give bool) (User, error) {
	for _, o := range g.Objects {
		if _, err := s.schema(ctx, o); err != nil {
			return User{}, fmt.Errorf("%s %s: %w", ch.op, ch.name, err)
		}
	}
	for _, p := range g.Permissions {
		if p.OfObject() && len(g.Objects) == 0 {
			return User{}, fmt.Errorf("%s %s: permission %s is for one object type: none is given", ch.op, ch.name, p)
		}
	}
	return s.changeUser(ctx, ch, func(u *User) string {
		before := u.Rights()
		for _, p := range g.Permissions {
			switch {
			case p == IsSuperAdmin:
				u.SuperAdmin = give
			case p.OfObject():
				for _, o := range g.Objects {
					if u.Objects[o] = withPermission(u.Objects[o], p, give); len(u.Objects[o]) == 0 {
						delete(u.Objects, o)
					}
				}
			default:
				u.Permissions = withPermission(u.Permissions, p, give)
			}
		}
		return "from " + before + " to " + u.Rights()
	})
}

// withPermission is the list with or without p, in the order of [Permissions].
func withPermission(list []Permission, p Permission, give bool) []Permission {
	out := []Permission{}
	for _, known := range Permissions() {
		if known == p && give || known != p && slices.Contains(list, known) {
			out = append(out, known)
		}
	}
	return out
}

// RemoveUser takes a user off the account. What the user did stays in the audit log under the name. ErrNotFound,
// ErrLastSuperAdmin.
func (s *Store) RemoveUser(ctx context.Context, name string, c record.Cause, at time.Time) error {
	if err := s.require(ctx, "", IsSuperAdmin); err != nil {
		return err
	}
	_, err := s.changeUser(ctx, userChange{name: name, op: "remove-user", cause: c, at: at, remove: true}, func(u *User) string {
		return "from " + u.Rights() + " to nobody"
	})
	return err
}

// userChange is one change of the users.
type userChange struct {
	name    string
	version uint64 // of the user as it was read; 0 = none
	after   *User
	remove  bool
	op      string
	detail  string // before and after, for the audit log
	cause   record.Cause
	at      time.Time
}

// How often a change of a user is tried again when somebody else changed it in between.
const userTries = 20

// changeUser reads, changes and writes a user, again when another process was faster. change says what was before and
// after. What changes nothing is neither written nor audited.
func (s *Store) changeUser(ctx context.Context, ch userChange, change func(*User) string) (User, error) {
	for range userTries {
		before, err := s.userNamed(ctx, ch.name)
		if err != nil {
			return User{}, err
		}
		after := before
		if after.Objects = maps.Clone(before.Objects); after.Objects == nil {
			after.Objects = map[record.ObjectType][]Permission{}
		}
		ch.version, ch.detail, ch.after = before.Version, ch.name+": "+change(&after), &after
		if !ch.remove && sameUser(before, after) {
			return before, nil
		}
		saved, err := s.saveUser(ctx, ch)
		if errors.Is(err, record.ErrConflict) {
			continue
		}
		if err != nil {
			return User{}, fmt.Errorf("%s %s: %w", ch.op, ch.name, err)
		}
		return saved, nil
	}
	return User{}, fmt.Errorf("%s %s: %w", ch.op, ch.name, record.ErrConflict)
}

func sameUser(a, b User) bool {
	return a.Email == b.Email && a.SuperAdmin == b.SuperAdmin && slices.Equal(a.Permissions, b.Permissions) &&
		maps.EqualFunc(a.Objects, b.Objects, slices.Equal[[]Permission])
}

var scriptSaveUser = mustLuaScript("save_user")

// saveUser carries the change out unless somebody else changed the user since (ErrConflict).
func (s *Store) saveUser(ctx context.Context, ch userChange) (User, error) {
	text := []byte{}
	if !ch.remove {
		var err error
		if text, err = json.Marshal(ch.after); err != nil {
			return User{}, err
		}
	}
	reply, err := s.db.Run(ctx, scriptSaveUser, []string{s.keyUsers(), s.keyAccountLog()},
		ch.name, strconv.FormatUint(ch.version, 10), text, s.wall(), record.AppendFacts(nil, ch.at, s.by(ch.cause)), ch.op, ch.detail)
	if err != nil {
		return User{}, err
	}
	switch version, _ := reply.(int64); {
	case version == 0:
		return User{}, record.ErrConflict
	case version < 0:
		return User{}, ErrLastSuperAdmin
	case ch.remove:
		return User{}, nil
	default:
		return parseUser(ch.name, strconv.FormatInt(version, 10)+" "+string(text))
	}
}
