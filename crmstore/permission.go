package crmstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Permission is one thing that a user may do. View, edit and delete are given for one object type each and do not
// include each other; the others hold for the account as a whole.
type Permission string

// The permissions.
const (
	CanView              Permission = "view"               // see records, and which of them match or are on a list
	CanEdit              Permission = "edit"               // create and change records, and who is on a list
	CanDelete            Permission = "delete"             // put records into the bin
	CanBulkDelete        Permission = "bulk-delete"        // more than one by hand at a time
	CanRestore           Permission = "restore"            // bring records back from the bin
	CanPermanentlyDelete Permission = "permanently-delete" // delete contacts for good, and block e-mail addresses
	CanManageWorkflows   Permission = "manage-workflows"   // publish, switch, run, approve and cancel workflows
	CanLegalHold         Permission = "legal-hold"         // put records on legal hold, and take them off it
	IsSuperAdmin         Permission = "super-admin"        // everything, and users, tier and settings
)

// Permissions lists all of them.
func Permissions() []Permission {
	return []Permission{CanView, CanEdit, CanDelete, CanBulkDelete, CanRestore, CanPermanentlyDelete, CanManageWorkflows, CanLegalHold, IsSuperAdmin}
}

// OfObject reports whether the permission is given for one object type at a time.
func (p Permission) OfObject() bool { return p == CanView || p == CanEdit || p == CanDelete }

// ParsePermission reads a permission in any case.
func ParsePermission(s string) (Permission, error) {
	p := Permission(strings.ToLower(strings.TrimSpace(s)))
	if !slices.Contains(Permissions(), p) {
		return "", fmt.Errorf("permission %q is not known; there are view, edit, delete, bulk-delete, restore, permanently-delete, manage-workflows, legal-hold and super-admin", s)
	}
	return p, nil
}

// PermissionError refuses what the acting user may not do. Nothing was read or changed; the refusal was counted and
// stands in the account's audit log.
type PermissionError struct {
	User       string            // "" = the store was opened for nobody
	Account    string            // its name
	Permission Permission        // what is missing; "" = the user is not one of the account's
	Object     record.ObjectType // with view, edit and delete
	Admins     []string          // who can grant it, by name; told to users of the account only
}

// Error is the message with the help behind it.
func (e *PermissionError) Error() string { return e.Message() + "; " + e.Help() }

// Message says in one line who lacks what.
func (e *PermissionError) Message() string {
	switch {
	case e.User == "":
		return "nobody may do this: the store was opened without a user"
	case e.User == systemUser:
		return "nobody can act as system, which is the program itself"
	case e.Permission == "":
		return fmt.Sprintf("%s is not a user of account %s", e.User, e.Account)
	case e.Object != "":
		return fmt.Sprintf("%s lacks the permission %s for %s", e.User, e.Permission, e.Object.Plural())
	default:
		return fmt.Sprintf("%s lacks the permission %s", e.User, e.Permission)
	}
}

// Help says who can change that, and how.
func (e *PermissionError) Help() string {
	name := e.User
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.@") != "" {
		name = strconv.Quote(name)
	}
	switch {
	case e.User == "" || e.User == systemUser:
		return "say who acts"
	case e.Permission == "":
		return "a super admin of the account can change that with: workflow users add " + name
	}
	command := fmt.Sprintf("workflow users grant %s %s", name, e.Permission)
	if e.Object != "" {
		command += " --object " + string(e.Object)
	}
	return fmt.Sprintf("a super admin (%s) can change that with: %s", strings.Join(e.Admins, ", "), command)
}

// systemUser is the name under which the program itself acts; see [Store.AsSystem].
const systemUser = "system"

// NotAUser is the word under which [Store.Refusals] counts those who are not users of the account at all.
const NotAUser = "user"

// Check is nil when the acting user has all the permissions (with none given: when the account has that user), else
// a *PermissionError, which is counted and audited. Every method of Store asks by itself; this is for callers that
// want to know before they begin. Also ErrNoAccount.
func (s *Store) Check(ctx context.Context, o record.ObjectType, perms ...Permission) error {
	return s.require(ctx, o, perms...)
}

// May reports whether the acting user has all the permissions. Unlike Check it only asks: nothing is counted.
func (s *Store) May(ctx context.Context, o record.ObjectType, perms ...Permission) (bool, error) {
	if s.system {
		return true, nil
	}
	u, err := s.acting(ctx)
	if err != nil || u == nil {
		return false, err
	}
	return u.lacks(o, perms) == "", nil
}

// require is what every exported method that reads or changes something of the account asks first: at most one HGET.
// o is the object type of view, edit and delete; "" when only permissions of the account are asked for.
func (s *Store) require(ctx context.Context, o record.ObjectType, perms ...Permission) error {
	if s.system {
		return nil
	}
	u, err := s.acting(ctx)
	if err != nil {
		return err
	}
	refused := &PermissionError{User: s.user, Account: s.account}
	if u != nil {
		if refused.Permission = u.lacks(o, perms); refused.Permission == "" {
			return nil
		}
		if refused.Permission.OfObject() {
			refused.Object = o
		}
		if refused.Admins, err = s.admins(ctx); err != nil {
			return err
		}
	}
	return s.refuse(ctx, refused)
}

// acting reads the acting user; nil when the account has no such user. ErrNoAccount when it is not there at all.
func (s *Store) acting(ctx context.Context) (*User, error) {
	text, err := s.db.Redis.HGet(ctx, s.keyUsers(), s.user).Result()
	switch {
	case errors.Is(err, redis.Nil):
		_, err := s.readAccount(ctx)
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("read user %s: %w", s.user, s.db.Explain(err))
	}
	u, err := parseUser(s.user, text)
	return &u, err
}

var scriptRefuse = mustLuaScript("refuse")

// refuse counts and audits a refusal, and returns it. It stands even when that cannot be written down.
func (s *Store) refuse(ctx context.Context, e *PermissionError) error {
	word, detail := string(e.Permission), string(e.Permission)
	switch {
	case e.Permission == "":
		word, detail = NotAUser, "not a user of the account"
	case e.Object != "":
		detail += " for " + string(e.Object)
	}
	at := s.wall()
	facts := record.AppendFacts(nil, time.UnixMilli(at), s.by(record.Cause{}))
	_, err := s.db.Run(ctx, scriptRefuse, []string{s.keyRefusals(), s.keyAccountLog()}, word, at, facts, detail)
	if err != nil {
		return errors.Join(e, fmt.Errorf("note refusal: %w", err))
	}
	return e
}

// by is the cause with the acting user and this process in it: callers cannot say that somebody else did it.
func (s *Store) by(c record.Cause) record.Cause {
	c.From = s.from
	c.Actor = strings.ToValidUTF8(s.user, "?")
	if len(c.Actor) > maxUserName {
		c.Actor = strings.ToValidUTF8(c.Actor[:maxUserName], "")
	}
	return c
}

// Refusals is how often each permission was missing since the account was made; [NotAUser] counts those who are not
// users of the account.
func (s *Store) Refusals(ctx context.Context) (map[string]int64, error) {
	if err := s.require(ctx, ""); err != nil {
		return nil, err
	}
	fields, err := s.db.Redis.HGetAll(ctx, s.keyRefusals()).Result()
	if err != nil {
		return nil, fmt.Errorf("read refusals: %w", s.db.Explain(err))
	}
	counts := make(map[string]int64, len(fields))
	for word, text := range fields {
		if counts[word], err = strconv.ParseInt(text, 10, 64); err != nil {
			return nil, fmt.Errorf("read refusals: the count of %s is damaged", word)
		}
	}
	return counts, nil
}
