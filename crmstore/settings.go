package crmstore

import (
	"context"
	"fmt"
	"net"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// The account's settings.
const (
	SettingAuditDays = "audit_retention_days"
	SettingMailHost  = "smtp_host"
	SettingMailPort  = "smtp_port"
	SettingMailTLS   = "smtp_tls"
	SettingMailUser  = "smtp_user"
	SettingMailFrom  = "smtp_from"
	SettingDeletions = "deletions_per_second"
	SettingApprovals = "approvals"
	SettingApprover  = "approval_by"
	SettingPerDay    = "deletions_per_day"
	SettingRepeated  = "repeat_deletions"
)

// The values of SettingApprover.
const (
	ApprovalByAnyone     = "anyone"
	ApprovalNotPublisher = "not_publisher"
)

// Setting is one of the account's settings.
type Setting struct {
	Key     string `json:"key"`
	Value   string `json:"value"`   // what holds; "" = nothing is set, and there is nothing to fall back on
	Default bool   `json:"default"` // nobody has set it
	Means   string `json:"-"`
	Values  string `json:"-"` // which ones are taken, in words
}

// settingKind is what is known of a setting before it is set.
type settingKind struct {
	key, byDefault, means, values string
	check                         func(value string) bool
}

func settingKinds() []settingKind {
	return []settingKind{
		{
			SettingAuditDays, strconv.Itoa(AuditDays), "days that audit events, finished runs and finished mails are kept",
			fmt.Sprintf("1 to %d", maxAuditDays), numberUpTo(maxAuditDays),
		},
		{SettingMailHost, "", "SMTP server for confirmations of permanent deletions", "a host name or an IP address, without a port", validHost},
		{SettingMailPort, "", "port of the SMTP server; by default 587, 465 with tls, 25 with none", "1 to 65535", numberUpTo(65535)},
		{
			SettingMailTLS, "starttls", "how the connection to the SMTP server is encrypted", "starttls, tls or none",
			func(v string) bool { return slices.Contains([]string{"starttls", "tls", "none"}, v) },
		},
		{SettingMailUser, "", "login at the SMTP server; its password is in WORKFLOW_SMTP_PASSWORD and never stored", "printable text up to 320 bytes", validLogin},
		{SettingMailFrom, "", "sender of the mails", "an address such as crm@example.com, or Name <crm@example.com>", validSender},
		{
			SettingDeletions, "", "records per second that all runs and deletions by hand together may delete; by default as many as they can",
			fmt.Sprintf("1 to %d", MostPerSecond), numberUpTo(MostPerSecond),
		},
		{
			SettingPerDay, "", "records of a type that may be deleted in any 24 hours; by default 20 % of the live ones, and at least 1000",
			fmt.Sprintf("1 to %d", MostPerDay), numberUpTo(MostPerDay),
		},
		{
			SettingRepeated, strconv.Itoa(RepeatedAllowed), "contacts that were restored or deleted before; a run that would delete more of them is held",
			fmt.Sprintf("0 to %d", MostPerDay), func(v string) bool { return v == "0" || numberUpTo(MostPerDay)(v) },
		},
		{
			SettingApprovals, "1", "how many different users must approve a held run; with 2, also a large deletion by hand",
			"1 or 2", func(v string) bool { return v == "1" || v == "2" },
		},
		{
			SettingApprover, ApprovalByAnyone, "who may approve a held run of a workflow: anyone with the permissions, or not_publisher, another user than who published it",
			ApprovalByAnyone + " or " + ApprovalNotPublisher, func(v string) bool { return v == ApprovalByAnyone || v == ApprovalNotPublisher },
		},
	}
}

func numberUpTo(most int) func(string) bool {
	return func(v string) bool {
		n, err := strconv.Atoi(v)
		return err == nil && n >= 1 && n <= most && strconv.Itoa(n) == v
	}
}

func validHost(v string) bool {
	if net.ParseIP(v) != nil {
		return true
	}
	return len(v) <= 253 && strings.Trim(v, "-.") == v && !strings.Contains(v, "..") &&
		strings.Trim(strings.ToLower(v), "abcdefghijklmnopqrstuvwxyz0123456789-.") == ""
}

func validLogin(v string) bool {
	return len(v) <= 320 && strings.TrimSpace(v) == v && !strings.ContainsFunc(v, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar })
}

func validSender(v string) bool {
	_, err := mail.ParseAddress(v)
	return err == nil && len(v) <= 320 && !strings.ContainsFunc(v, unicode.IsControl)
}

// SettingDefaults are all settings as they are in a new account.
func SettingDefaults() []Setting {
	kinds := settingKinds()
	all := make([]Setting, len(kinds))
	for i, k := range kinds {
		all[i] = Setting{Key: k.key, Value: k.byDefault, Default: true, Means: k.means, Values: k.values}
	}
	return all
}

// Settings reads all settings. Every user of the account may: nothing of them is secret.
func (s *Store) Settings(ctx context.Context) ([]Setting, error) {
	if err := s.require(ctx, ""); err != nil {
		return nil, err
	}
	values, err := s.db.Redis.HGetAll(ctx, s.keySettings()).Result()
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", s.db.Explain(err))
	}
	all := SettingDefaults()
	for i := range all {
		if v, ok := values[all[i].Key]; ok {
			all[i].Value, all[i].Default = v, false
		}
	}
	return all, nil
}

// SettingError refuses a value that a setting does not take, or a setting that does not exist.
type SettingError struct {
	Key, Value string
	Values     string // which ones are taken; "" = there is no such setting
}

// Error says what is taken.
func (e *SettingError) Error() string {
	if e.Values == "" {
		return fmt.Sprintf("setting %q is not known", e.Key)
	}
	return fmt.Sprintf("%s %q: want %s", e.Key, e.Value, e.Values)
}

// SetSetting gives a setting a value; "" = its default again. What was before and what is after stand in the audit
// log, unless it is the same. Only a super admin. *SettingError, ErrNoAccount.
func (s *Store) SetSetting(ctx context.Context, key, value string, c record.Cause, at time.Time) (Setting, error) {
	if err := s.require(ctx, "", IsSuperAdmin); err != nil {
		return Setting{}, err
	}
	kinds := settingKinds()
	i := slices.IndexFunc(kinds, func(k settingKind) bool { return k.key == key })
	if i < 0 {
		return Setting{}, &SettingError{Key: key}
	}
	kind := kinds[i]
	if value != "" && !kind.check(value) {
		return Setting{}, &SettingError{Key: key, Value: value, Values: kind.values}
	}
	named := "the default"
	if kind.byDefault != "" {
		named += " (" + kind.byDefault + ")"
	}
	done, err := s.db.Run(ctx, scriptSetSetting, []string{s.keySettings(), s.keyAccountLog(), s.keyAccount()},
		key, value, s.wall(), record.AppendFacts(nil, at, s.by(c)), named)
	if err != nil {
		return Setting{}, fmt.Errorf("set %s: %w", key, err)
	}
	if done != int64(1) {
		return Setting{}, fmt.Errorf("set %s of account %s: %w", key, s.account, record.ErrNoAccount)
	}
	set := SettingDefaults()[i]
	if value != "" {
		set.Value, set.Default = value, false
	}
	return set, nil
}

var scriptSetSetting = mustLuaScript("set_setting")
