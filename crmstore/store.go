package crmstore

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// layoutVersion is the version of the layout of keys and bytes that this program reads and writes.
const layoutVersion = 2

// The defaults of Config.
const (
	DefaultURL     = "dir:.workflow"
	DefaultAccount = "default"
)

// Config says which store to open and which account in it.
type Config struct {
	URL     string // redis://, rediss://, redis+sentinel://, redis+cluster://, unix://, dir:PATH, memory; "" = dir:.workflow
	Account string // "" = default
	User    string // who acts, see [Store.As]; "" = nobody, who may do nothing with what the account holds

	From       string        // what the audit log says of this process; "" = user@host of its operating system. Only tests have a reason
	ClockAhead time.Duration // how far this process's own clock is taken to be ahead; only tests have a reason
}

// Store is one account in one Redis, in the hands of one user: what that user may not do, it refuses. It is safe for
// concurrent use.
type Store struct {
	*base
	user   string // "" = nobody
	system bool   // the program itself, which may do everything; see AsSystem
}

// base is what all handles of one opened store share.
type base struct {
	db      *redisdb.DB
	account string
	from    string // this process, for the audit log: see processOwner

	partitions atomic.Int64                   // 0 = not read yet
	key        atomic.Pointer[[claimKey]byte] // of places of claims, and what the account is known by; as read first
	schemas    schemaCache
	patience   time.Duration // of doctor with associations that look half-written
	windows    windowPools
	slots      slotGuesses
	steady     steady
}

var accountName = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)

// Open connects, checks the server and the layout version and returns the store; the account need not exist yet.
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.URL == "" {
		c.URL = DefaultURL
	}
	if c.Account == "" {
		c.Account = DefaultAccount
	}
	if !accountName.MatchString(c.Account) {
		return nil, fmt.Errorf("account name %q: want 1 to 63 of a-z, 0-9 and -", c.Account)
	}
	if c.User != "" && !validUserName(c.User) {
		return nil, userNameError(c.User)
	}
	database, err := redisdb.Open(ctx, c.URL)
	if err != nil {
		return nil, err
	}
	s := &Store{base: &base{db: database}}
	s.account, s.user, s.patience = c.Account, c.User, associationPatience
	if s.from = c.From; s.from == "" {
		s.from = processOwner()
	}
	s.steady.ahead, s.steady.name, s.steady.began = c.ClockAhead, newWitness(), time.Now()
	if err := s.check(ctx); err != nil {
		if words := redisdb.ExplainTransport(ctx, c.URL); words != "" {
			err = fmt.Errorf("%s: %w", words, err)
		}
		return nil, errors.Join(fmt.Errorf("open store %s: %w", s.db.Place, err), s.Close())
	}
	return s, nil
}

// openWithin is how long a server may take to answer the first questions.
const openWithin = 15 * time.Second

// check asks the server for its version and the account, if there is one, for its layout.
func (s *Store) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	if err := s.Ping(ctx); err != nil {
		return err
	}
	info, err := s.db.Redis.Info(ctx).Result()
	if err == nil { // an ACL may forbid INFO
		_, cluster := s.db.Redis.(*redis.ClusterClient)
		if err := redisdb.CheckServer(info, cluster); err != nil {
			return err
		}
	}
	if _, err := s.readAccount(ctx); err != nil && !errors.Is(err, record.ErrNoAccount) && !errors.Is(err, record.ErrNotInSync) {
		return err
	}
	_, err = s.Time(ctx)
	return err
}

// As is the same store in the hands of another user. It shares the connection, costs nothing and asks nobody: what the
// user may do is looked up at each call, so that a permission that is granted or revoked counts from the next call on.
// Whoever holds a Store may act as anybody; finding out who somebody is, is the caller's part.
func (s *Store) As(user string) *Store { return &Store{base: s.base, user: user} }

// AsSystem is the same store in the hands of the program itself, which may do everything. It is for housekeeping that
// no person asks for (schedules, signs of life, purging what is due) and never carries out what a person asked for.
// No name leads to it: As("system") is a user that no account has.
func (s *Store) AsSystem() *Store { return &Store{base: s.base, user: systemUser, system: true} }

// IsSystem reports whether the handle is in the hands of the program itself.
func (s *Store) IsSystem() bool { return s.system }

// User is who acts through this handle: the name given to Open or As, "system", or "" for nobody.
func (s *Store) User() string { return s.user }

// Close leaves the store; the last process to leave a dir: store stops its server.
func (s *Store) Close() error {
	return s.db.Close()
}

// Ping reports whether the store answers: of a cluster, every master.
func (s *Store) Ping(ctx context.Context) error {
	return s.db.Ping(ctx)
}

// Connections is how many connections to the server were made since the store was opened. While it stays the same, the server was
// there all the time, and still has what it said it had; when it grows, the server may have started again meanwhile, or another one
// may have taken over, with something lost.
func (s *Store) Connections() int64 { return s.db.Connections() }

// Describe is the store's address for people, without secrets.
func (s *Store) Describe() string { return s.db.Place }

// Volatile reports whether everything is lost when the process ends (memory).
func (s *Store) Volatile() bool { return s.db.Volatile }

// AccountName is the name of the account that the store was opened for.
func (s *Store) AccountName() string { return s.account }

// ErrAddress says that an address names no store: the call is wrong, and no server was asked.
var ErrAddress = redisdb.ErrAddress

// PublicAddress is a store's address for people: without password and query, and without what may be part of a password
// that was written without its %40 and %2F. What cannot be parsed shows its kind only.
func PublicAddress(address string) string { return redisdb.PublicAddress(address) }

// Client makes another connection to where the store is, for a library that keeps data of its own there, beside the
// account's: the queue of runs. The caller closes it, before the store. Commands that do not reach the server
// come back after a pause, so that a library which tries again at once does not keep a processor busy while the server is away.
func (s *Store) Client() redis.UniversalClient { return s.db.NewClient() }
