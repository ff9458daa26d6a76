package crmstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const storeChoices = "want redis://HOST:PORT, rediss://, redis+sentinel://, redis+cluster://, unix://PATH, dir:PATH or memory"

// connect makes a client for the address; the store's account is not set yet.
func connect(_ context.Context, address string) (*Store, error) {
	if address == "memory" {
		return connectMemory()
	}
	scheme, _, ok := strings.Cut(address, ":")
	if !ok {
		return nil, fmt.Errorf("store address %q: %s", address, storeChoices)
	}
	switch scheme {
	case "redis", "rediss", "unix":
		return connectSingle(address)
	default:
		return nil, fmt.Errorf("store address of kind %q: %s", scheme, storeChoices)
	}
}

// connectMemory starts a miniredis of its own: nothing is shared with another Open.
// It listens on the loopback behind a random password, since its in-process pipe blocks on large pipelines.
func connectMemory() (*Store, error) {
	m := miniredis.NewMiniRedis()
	secret := rand.Text()
	m.RequireAuth(secret)
	m.ClockTTL(true)
	if err := m.Start(); err != nil {
		return nil, fmt.Errorf("start the in-memory store: %w", err)
	}
	o := tune(&redis.UniversalOptions{Addrs: []string{m.Addr()}, Password: secret})
	return &Store{
		rdb: redis.NewClient(o.Simple()), place: "memory", volatile: true,
		leave: func() error { m.Close(); return nil },
	}, nil
}

// connectSingle opens one server: redis:// or rediss:// (TLS), or unix:// for a socket.
func connectSingle(address string) (*Store, error) {
	o, err := redis.ParseURL(address)
	if err != nil {
		return nil, fmt.Errorf("store address %s: %w", withoutSecrets(address), hideURL(err))
	}
	tuned := tune(&redis.UniversalOptions{}).Simple()
	tuned.Network, tuned.Addr, tuned.DB, tuned.TLSConfig = o.Network, o.Addr, o.DB, o.TLSConfig
	tuned.Username, tuned.Password = o.Username, o.Password
	return &Store{rdb: redis.NewClient(tuned), place: withoutSecrets(address)}, nil
}

// tune sets what every client has in common.
func tune(o *redis.UniversalOptions) *redis.UniversalOptions {
	o.DialTimeout = 5 * time.Second
	o.DialerRetries = 3
	o.ReadTimeout = 30 * time.Second // one reply may be a whole pipeline of columns
	o.WriteTimeout = 30 * time.Second
	o.ContextTimeoutEnabled = true
	o.DisableIdentity = true // one round trip less, and Redis 7.0 knows no CLIENT SETINFO
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return o
}

// withoutSecrets is an address with its password taken out, for people.
func withoutSecrets(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		scheme, _, _ := strings.Cut(address, ":")
		return scheme + "://…"
	}
	if u.User != nil {
		if _, has := u.User.Password(); has {
			u.User = url.User(u.User.Username())
		}
	}
	u.RawQuery = ""
	return u.String()
}

// hideURL takes the address, which may hold a password, out of the error of url.Parse.
func hideURL(err error) error {
	var bad *url.Error
	if errors.As(err, &bad) {
		return bad.Err
	}
	return err
}
