package crmstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// User is somebody who may act on the account.
type User struct {
	Name        string                             `json:"name"`
	Email       string                             `json:"email,omitempty"` // where confirmations go
	SuperAdmin  bool                               `json:"super_admin"`     // may do everything
	Permissions []Permission                       `json:"permissions"`     // of the account as a whole, in the order of [Permissions]
	Objects     map[record.ObjectType][]Permission `json:"objects"`         // view, edit and delete, in that order
	AddedAt     time.Time                          `json:"added_at"`
	AddedBy     string                             `json:"added_by"`
	Version     uint64                             `json:"-"`
}

// Has reports whether the user has the permission; o counts for view, edit and delete only.
func (u *User) Has(o record.ObjectType, p Permission) bool {
	switch {
	case u.SuperAdmin:
		return true
	case p.OfObject():
		return slices.Contains(u.Objects[o], p)
	default:
		return slices.Contains(u.Permissions, p)
	}
}

// lacks is the first of the permissions that the user does not have; "" when there is none.
func (u *User) lacks(o record.ObjectType, perms []Permission) Permission {
	for _, p := range perms {
		if !u.Has(o, p) {
			return p
		}
	}
	return ""
}

// Rights is what the user may do, in words, such as "contact: view, edit; restore"; "nothing" when that is so.
func (u *User) Rights() string {
	if u.SuperAdmin {
		return "everything (" + string(IsSuperAdmin) + ")"
	}
	var parts []string
	for _, o := range slices.Sorted(maps.Keys(u.Objects)) {
		parts = append(parts, string(o)+": "+words(u.Objects[o]))
	}
	if len(u.Permissions) > 0 {
		parts = append(parts, words(u.Permissions))
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, "; ")
}

func words(perms []Permission) string {
	texts := make([]string, len(perms))
	for i, p := range perms {
		texts[i] = string(p)
	}
	return strings.Join(texts, ", ")
}

// maxUserName is the longest name of a user, in bytes.
const maxUserName = 100

// validUserName reports whether somebody can be called that: login names of all systems and e-mail addresses can.
func validUserName(name string) bool {
	if name == "" || len(name) > maxUserName || name == systemUser || name[0] == '-' || !utf8.ValidString(name) {
		return false
	}
	return strings.TrimSpace(name) == name && !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
}

// ErrUserName refuses a name that no user can have.
var ErrUserName = errors.New("user name")

func userNameError(name string) error {
	if name == systemUser {
		return &PermissionError{User: name}
	}
	return fmt.Errorf("%w %q: want 1 to %d bytes of text without spaces around it and without - in front", ErrUserName, name, maxUserName)
}

func parseUser(name, text string) (User, error) {
	var u User
	version, err := parseVersioned(text, &u)
	if err != nil {
		return User{}, fmt.Errorf("read user %s: %w", name, err)
	}
	u.Version = version
	return u, nil
}

// Users reads all users of the account, by name. Every user of the account may.
func (s *Store) Users(ctx context.Context) ([]User, error) {
	if err := s.require(ctx, ""); err != nil {
		return nil, err
	}
	return s.users(ctx)
}

func (s *Store) users(ctx context.Context) ([]User, error) {
	texts, err := s.db.Redis.HGetAll(ctx, s.keyUsers()).Result()
	if err != nil {
		return nil, fmt.Errorf("read users: %w", s.db.Explain(err))
	}
	all := make([]User, 0, len(texts))
	for name, text := range texts {
		u, err := parseUser(name, text)
		if err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	slices.SortFunc(all, func(a, b User) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// admins are the names of the super admins.
func (s *Store) admins(ctx context.Context) ([]string, error) {
	all, err := s.users(ctx)
	var names []string
	for i := range all {
		if all[i].SuperAdmin {
			names = append(names, all[i].Name)
		}
	}
	return names, err
}

// UserNamed reads one user of the account; ErrNotFound. Every user of the account may.
func (s *Store) UserNamed(ctx context.Context, name string) (User, error) {
	if err := s.require(ctx, ""); err != nil {
		return User{}, err
	}
	return s.userNamed(ctx, name)
}

func (s *Store) userNamed(ctx context.Context, name string) (User, error) {
	text, err := s.db.Redis.HGet(ctx, s.keyUsers(), name).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return User{}, fmt.Errorf("user %s: %w", name, record.ErrNotFound)
	case err != nil:
		return User{}, fmt.Errorf("read user %s: %w", name, s.db.Explain(err))
	}
	return parseUser(name, text)
}

// firstUser is the super admin that a new account has: who creates it.
func (s *Store) firstUser(at time.Time) (name string, text []byte, err error) {
	if s.system || !validUserName(s.user) {
		return "", nil, fmt.Errorf("create account %s: its creator becomes its super admin: %w", s.account, userNameError(s.user))
	}
	u := newUser(s.user, s.user, at)
	u.SuperAdmin = true
	text, err = json.Marshal(u)
	return s.user, text, err
}

func newUser(name, by string, at time.Time) User {
	return User{
		Name: name, Permissions: []Permission{}, Objects: map[record.ObjectType][]Permission{},
		AddedAt: time.UnixMilli(at.UnixMilli()).UTC(), AddedBy: by,
	}
}
