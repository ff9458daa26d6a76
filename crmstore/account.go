package crmstore

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Tier is an account's subscription.
type Tier string

// The tiers, lowest first. Workflows need Professional or Enterprise.
const (
	Free         Tier = "free"
	Starter      Tier = "starter"
	Professional Tier = "professional"
	Enterprise   Tier = "enterprise"
)

// Tiers lists the tiers, lowest first.
func Tiers() []Tier { return []Tier{Free, Starter, Professional, Enterprise} }

// ParseTier reads a tier in any case.
func ParseTier(s string) (Tier, error) {
	t := Tier(strings.ToLower(strings.TrimSpace(s)))
	if !slices.Contains(Tiers(), t) {
		return "", fmt.Errorf("tier %q: want free, starter, professional or enterprise", s)
	}
	return t, nil
}

// Account is the account as a whole.
type Account struct {
	Name       string    `json:"name"`
	Tier       Tier      `json:"tier"`
	Partitions int       `json:"partitions"` // for each object type; fixed at creation
	CreatedAt  time.Time `json:"created_at"`
}

// The number of partitions of an account, for each object type.
const (
	DefaultPartitions = 1024 // when the account's creator names none
	MaxPartitions     = 65536
)

// claimKey is the size of the key that an account is made with; see [Store.BlockAddresses]. It never changes.
const claimKey = 32

var (
	scriptCreateAccount = mustLuaScript("create_account")
	scriptSetTier       = mustLuaScript("set_tier")
)

// CreateAccount makes the account with the default schemas; ErrExists when it is there. partitions 0 = default.
// The acting user becomes its one super admin.
func (s *Store) CreateAccount(ctx context.Context, tier Tier, partitions int, c record.Cause, at time.Time) (Account, error) {
	if partitions == 0 {
		partitions = DefaultPartitions
	}
	tier, err := ParseTier(string(tier))
	if err != nil {
		return Account{}, err
	}
	if partitions < 1 || partitions > MaxPartitions {
		return Account{}, fmt.Errorf("create account %s: %d partitions: want 1 to %d", s.account, partitions, MaxPartitions)
	}
	user, userText, err := s.firstUser(at)
	if err != nil {
		return Account{}, err
	}
	var key [claimKey]byte
	_, _ = rand.Read(key[:]) // it never fails
	args := []any{layoutVersion, string(tier), partitions, at.UnixMilli(), s.wall(), record.AppendFacts(nil, at, s.by(c)), user, userText, key[:]}
	for _, o := range record.StandardObjects() {
		properties, err := json.Marshal(record.DefaultProperties(o))
		if err != nil {
			return Account{}, fmt.Errorf("create account %s: %w", s.account, err)
		}
		args = append(args, string(o), properties)
	}
	made, err := s.db.Run(ctx, scriptCreateAccount, []string{s.keyAccount(), s.keySchema(), s.keyAccountLog(), s.keyUsers()}, args...)
	if err != nil {
		return Account{}, fmt.Errorf("create account %s: %w", s.account, err)
	}
	if made != int64(1) {
		return Account{}, fmt.Errorf("create account %s: %w", s.account, record.ErrExists)
	}
	s.acceptEarlier(ctx)
	return Account{Name: s.account, Tier: tier, Partitions: partitions, CreatedAt: time.UnixMilli(at.UnixMilli()).UTC()}, nil
}

// Account reads the account; ErrNoAccount when there is none, ErrLayout when another version of this program
// made it, ErrAccountGone and ErrOtherAccount when it is not the one any more that this process began with, ErrNotInSync when a
// replica does not know. It asks the store every time. Every user of the account may.
func (s *Store) Account(ctx context.Context) (Account, error) {
	if err := s.require(ctx, ""); err != nil {
		return Account{}, err
	}
	return s.readAccount(ctx)
}

func (s *Store) readAccount(ctx context.Context) (Account, error) {
	fields, err := s.db.Redis.HGetAll(ctx, s.keyAccount()).Result()
	if err != nil {
		return Account{}, fmt.Errorf("read account %s: %w", s.account, s.db.Explain(err))
	}
	if len(fields) == 0 {
		return Account{}, fmt.Errorf("account %s: %w", s.account, s.missingAccount(ctx))
	}
	if v := fields["layout"]; v != strconv.Itoa(layoutVersion) {
		return Account{}, fmt.Errorf("account %s: %w: it has version %q, this program reads version %d "+
			"(export its records with the version of this program that made it, and import them into a new account)",
			s.account, record.ErrLayout, v, layoutVersion)
	}
	var key [claimKey]byte
	if copy(key[:], fields["key"]) != len(key) {
		return Account{}, fmt.Errorf("account %s: its key is damaged", s.account)
	}
	if !s.key.CompareAndSwap(nil, &key) && *s.key.Load() != key {
		return Account{}, fmt.Errorf("account %s: %w", s.account, record.ErrOtherAccount)
	}
	partitions, err := strconv.Atoi(fields["partitions"])
	if err != nil || partitions < 1 {
		return Account{}, fmt.Errorf("account %s: its number of partitions is damaged: %q", s.account, fields["partitions"])
	}
	created, err := strconv.ParseInt(fields["created"], 10, 64)
	if err != nil {
		return Account{}, fmt.Errorf("account %s: its time of creation is damaged: %q", s.account, fields["created"])
	}
	return Account{
		Name: s.account, Tier: Tier(fields["tier"]), Partitions: partitions, CreatedAt: time.UnixMilli(created).UTC(),
	}, nil
}

// missingAccount says what it means that the store has no account: a replica that is not in sync does not know, and what was
// there before was lost.
func (s *Store) missingAccount(ctx context.Context) error {
	if s.key.Load() != nil {
		return record.ErrAccountGone
	}
	if _, cluster := s.db.Redis.(*redis.ClusterClient); s.db.Volatile || cluster {
		return record.ErrNoAccount // the client asks primaries only
	}
	text, err := s.db.Redis.Info(ctx).Result()
	if err == nil && replicaBehind([]map[string]string{redisdb.ParseInfo(text)}) {
		return record.ErrNotInSync
	}
	return record.ErrNoAccount
}

// SetTier changes the tier; audited unless it is the tier already. ErrNoAccount.
func (s *Store) SetTier(ctx context.Context, tier Tier, c record.Cause, at time.Time) (Account, error) {
	if err := s.require(ctx, "", IsSuperAdmin); err != nil {
		return Account{}, err
	}
	tier, err := ParseTier(string(tier))
	if err != nil {
		return Account{}, err
	}
	done, err := s.db.Run(ctx, scriptSetTier, []string{s.keyAccount(), s.keyAccountLog()}, string(tier), s.wall(), record.AppendFacts(nil, at, s.by(c)))
	if err != nil {
		return Account{}, fmt.Errorf("set tier of account %s: %w", s.account, err)
	}
	if done != int64(1) {
		return Account{}, fmt.Errorf("set tier of account %s: %w", s.account, record.ErrNoAccount)
	}
	return s.readAccount(ctx)
}

// Partitions is the account's number of partitions, read once and then remembered (it never changes).
// ErrNoAccount and ErrLayout as for [Store.Account].
func (s *Store) Partitions(ctx context.Context) (int, error) {
	if n := s.partitions.Load(); n > 0 {
		return int(n), nil
	}
	a, err := s.readAccount(ctx)
	if err != nil {
		return 0, err
	}
	s.partitions.Store(int64(a.Partitions))
	return a.Partitions, nil
}
