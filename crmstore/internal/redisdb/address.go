package redisdb

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/crm-workflow/crm-workflow/crmstore/embedded"
)

const storeChoices = "want redis://HOST:PORT, rediss:// (TLS), redis+sentinel://HOST:PORT,…/MASTER, " +
	"redis+cluster://HOST:PORT,…, unix:///PATH, dir:PATH or memory"

// ErrAddress says that an address names no store: the call is wrong, and no server was asked.
var ErrAddress = errors.New("not the address of a store")

// addressError is what is wrong with an address.
type addressError struct{ error }

// Is makes it an errAddress.
func (addressError) Is(target error) bool { return target == ErrAddress }

// Unwrap gives what was found.
func (e addressError) Unwrap() error { return e.error }

// Open opens the database at an address; no server need answer yet. An address that names none is an errAddress.
func Open(ctx context.Context, address string) (*DB, error) {
	redis.SetLogger(silence{}) // what goes wrong is in the errors
	switch {
	case address == "dir:":
		return nil, addressError{errors.New("store address dir: the path of a directory is missing, as in dir:.workflow")}
	case address == "memory":
		return connectMemory()
	case strings.HasPrefix(address, "dir:"):
		return connectDir(ctx, strings.TrimPrefix(address, "dir:"))
	}
	d, err := connectServer(address)
	if err != nil {
		return nil, addressError{err} // clients connect when they are first used
	}
	return d, nil
}

// openedBy is a database whose client open makes; it makes the others too.
func openedBy(d *DB, open func() redis.UniversalClient) *DB {
	d.Redis, d.open = open(), open
	return d
}

// connectServer makes a client for a server, or several, that runs by itself.
func connectServer(address string) (*DB, error) {
	scheme, _, ok := strings.Cut(address, "://")
	if !ok {
		kind, rest, _ := strings.Cut(address, ":")
		switch {
		case kind == "memory":
			return nil, fmt.Errorf("store address memory: takes nothing behind it, found %q", rest)
		case strings.Contains(address, "@"): // what stands before it may be a password
			return nil, fmt.Errorf("store address without a kind: %s", storeChoices)
		}
		return nil, fmt.Errorf("store address %q: %s", kind, storeChoices)
	}
	switch scheme {
	case "redis", "rediss", "unix":
		return connectSingle(address)
	case "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster":
		return connectMany(address)
	default:
		if !plainScheme.MatchString(scheme) {
			scheme = "…"
		}
		return nil, fmt.Errorf("store address of kind %q: %s", scheme, storeChoices)
	}
}

// connectMemory starts a miniredis of its own: nothing is shared with another Open.
// It listens on the loopback behind a random password, since its in-process pipe blocks on large pipelines.
// Its clock for expiring keys stays off: no key of ours expires, and with it every call of a script sorts all keys.
func connectMemory() (*DB, error) {
	m := miniredis.NewMiniRedis()
	secret := rand.Text()
	m.RequireAuth(secret)
	if err := m.Start(); err != nil {
		return nil, fmt.Errorf("start the in-memory store: %w", err)
	}
	d := &DB{Place: "memory", Volatile: true, leave: func() error { m.Close(); return nil }}
	o := tune(&redis.UniversalOptions{Addrs: []string{m.Addr()}, Password: secret, OnConnect: d.connected})
	return openedBy(d,
		func() redis.UniversalClient { return redis.NewClient(o.Simple()) }), nil
}

// loadWithin is how long a new connection to a directory's server may take: if the server died, it starts again
// and loads its data first.
const loadWithin = 2 * time.Minute

// connectDir opens the store in a directory.
func connectDir(ctx context.Context, dir string) (*DB, error) {
	if rest, ok := strings.CutPrefix(dir, "~/"); ok { // no shell has done it inside "dir:~/x"
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, fmt.Errorf("store address dir:%s: %w", dir, err)
		}
		dir = filepath.Join(home, rest)
	}
	server, err := embedded.Open(ctx, dir)
	if err != nil {
		return nil, err
	}
	d := &DB{Place: "dir:" + dir, leave: server.Close}
	o := tune(&redis.UniversalOptions{OnConnect: d.connected}).Simple()
	o.Dialer, o.DialTimeout = server.Dial, loadWithin
	return openedBy(d, func() redis.UniversalClient { return redis.NewClient(o) }), nil
}

// connectSingle opens one server: redis:// or rediss:// (TLS), or unix:// for a socket. Further settings of the
// client may stand in the query, as in ?read_timeout=5s.
func connectSingle(address string) (*DB, error) {
	place := withoutSecrets(address)
	known, files, err := withoutTLSSettings(address)
	if err != nil {
		return nil, fmt.Errorf("store address %s: %w", place, err)
	}
	o, err := redis.ParseURL(known)
	if err != nil {
		return nil, fmt.Errorf("store address %s: %w", place, hideURL(err))
	}
	if err := useTLSFiles(o.TLSConfig, files); err != nil {
		return nil, fmt.Errorf("store address %s: %w", place, err)
	}
	tuned := tune(&redis.UniversalOptions{})
	o.DialTimeout = cmp.Or(o.DialTimeout, tuned.DialTimeout)
	o.ReadTimeout = cmp.Or(o.ReadTimeout, tuned.ReadTimeout)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, tuned.WriteTimeout)
	o.DialerRetries = tuned.DialerRetries
	o.ContextTimeoutEnabled = tuned.ContextTimeoutEnabled
	o.DisableIdentity = tuned.DisableIdentity
	o.MaintNotificationsConfig = tuned.MaintNotificationsConfig
	d := &DB{Place: place}
	o.OnConnect = d.connected
	return openedBy(d, func() redis.UniversalClient { return redis.NewClient(o) }), nil
}

// connectMany opens a primary found through sentinels (redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/MASTER?db=N),
// or a cluster (redis+cluster://USER:PASSWORD@HOST:PORT,HOST:PORT); rediss+… for TLS. The query may also have
// skip_verify, and with sentinels sentinel_user and sentinel_password.
func connectMany(address string) (*DB, error) {
	place := withoutSecrets(address)
	u, hosts, err := parseMany(address)
	if err != nil {
		return nil, fmt.Errorf("store address %s: %w", place, err)
	}
	o := tune(&redis.UniversalOptions{Addrs: hosts, Username: u.User.Username()})
	o.Password, _ = u.User.Password()
	query := u.Query()
	if strings.HasPrefix(u.Scheme, "rediss") {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: query.Get("skip_verify") == "true"}
	}
	if err := useTLSFiles(o.TLSConfig, query); err != nil {
		return nil, fmt.Errorf("store address %s: %w", place, err)
	}
	path, cluster := strings.Trim(u.Path, "/"), strings.HasSuffix(u.Scheme, "+cluster")
	for name := range query {
		if known := name == "skip_verify" || slices.Contains(tlsSettings(), name) || !cluster && (name == "db" || name == "sentinel_user" || name == "sentinel_password"); !known {
			return nil, fmt.Errorf("store address %s: unknown setting %q", place, settingName(name))
		}
	}
	d := &DB{Place: place}
	o.OnConnect = d.connected
	switch {
	case cluster && path != "":
		return nil, fmt.Errorf("store address %s: a cluster has neither path nor database", place)
	case cluster:
		return openedBy(d, func() redis.UniversalClient { return redis.NewClusterClient(o.Cluster()) }), nil
	case path == "":
		return nil, fmt.Errorf("store address %s: the name of the master is missing, as in redis+sentinel://HOST:26379/mymaster", place)
	}
	if db := query.Get("db"); db != "" {
		if o.DB, err = strconv.Atoi(db); err != nil {
			return nil, fmt.Errorf("store address %s: db %q is not a number", place, db)
		}
	}
	o.MasterName = path
	o.SentinelUsername, o.SentinelPassword = query.Get("sentinel_user"), query.Get("sentinel_password")
	return openedBy(d, func() redis.UniversalClient { return redis.NewFailoverClient(o.Failover()) }), nil
}

// parseMany parses an address with several hosts. Errors never hold any part of it that may be a password.
func parseMany(address string) (u *url.URL, hosts []string, err error) {
	scheme, rest, _ := strings.Cut(address, "://")
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	user, list := "", authority
	if i := strings.LastIndex(authority, "@"); i >= 0 {
		user, list = authority[:i+1], authority[i+1:]
	}
	hosts = strings.Split(list, ",")
	for _, host := range hosts {
		one, err := url.Parse(scheme + "://" + host)
		if err != nil || one.Host != host || one.Hostname() == "" || one.Port() == "" {
			return nil, nil, errHosts
		}
	}
	u, err = url.Parse(scheme + "://" + user + hosts[0] + tail)
	if err != nil {
		return nil, nil, hideURL(err)
	}
	if u.User == nil {
		u.User = &url.Userinfo{}
	}
	return u, hosts, nil
}

// tune sets what every client has in common.
func tune(o *redis.UniversalOptions) *redis.UniversalOptions {
	o.DialTimeout = 3 * time.Second
	o.DialerRetries = 1              // the client tries again above that, with growing pauses
	o.ReadTimeout = 30 * time.Second // one reply may be a whole pipeline of columns
	o.WriteTimeout = 30 * time.Second
	o.ContextTimeoutEnabled = true
	o.DisableIdentity = true // one round trip less, and Redis 7.0 knows no CLIENT SETINFO
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return o
}

// PublicAddress is a store's address for people: without password and query, and without what may be part of a password
// that was written without its %40 and %2F. What cannot be parsed shows its kind only.
func PublicAddress(address string) string {
	if _, _, server := strings.Cut(address, "://"); !server && (address == "memory" || strings.HasPrefix(address, "dir:")) {
		return address
	}
	return withoutSecrets(address)
}

var plainScheme = regexp.MustCompile(`^[a-z]{1,10}(\+[a-z]{1,10})?$`)

func withoutSecrets(address string) string {
	scheme, rest, _ := strings.Cut(address, "://")
	if !plainScheme.MatchString(scheme) {
		return "…"
	}
	if mangled(rest) {
		return scheme + "://…"
	}
	u, hosts, err := parseMany(address)
	if err != nil && !strings.Contains(scheme, "+") { // a single host may have no port
		if u, err = url.Parse(address); err == nil {
			hosts = []string{u.Host}
		}
	}
	if err != nil {
		return scheme + "://…"
	}
	place := u.Scheme + "://"
	if name := u.User.Username(); name != "" {
		if _, has := u.User.Password(); !has {
			name = "…" // a name alone is a password more often than not
		}
		place += name + "@"
	}
	return place + strings.Join(hosts, ",") + u.Path
}

// mangled reports whether a password with / ? or # in it, written as they are, ended the part of an address that passwords stand in.
func mangled(rest string) bool {
	i := strings.IndexAny(rest, "/?#")
	return i >= 0 && strings.Contains(rest[i:], "@") && !strings.Contains(rest[:i], "@")
}

var plainSetting = regexp.MustCompile(`^[a-z_]{2,40}$`)

// settingName is the name of a setting in an address for people; what does not look like a name may be part of a password.
func settingName(name string) string {
	if plainSetting.MatchString(name) {
		return name
	}
	return "(not shown: it may be a part of the password; write @ : / ? # in a password as %40 %3A %2F %3F %23)"
}

// badValue is how the client complains of a part of an address; the part itself follows.
var badValue = regexp.MustCompile(`^redis: (invalid [A-Za-z_ ]{1,40}): `)

var errHosts = errors.New("want HOST:PORT, several of them with commas between (write @ : / ? # in a password as %40 %3A %2F %3F %23)")

// hideURL takes whatever of the address, which may hold a password, out of an error about it.
func hideURL(err error) error {
	if unknown, ok := strings.CutPrefix(err.Error(), "redis: unexpected option: "); ok {
		return fmt.Errorf("unexpected option: %s", settingName(unknown))
	}
	if m := badValue.FindStringSubmatch(err.Error()); m != nil {
		return errors.New(m[1])
	}
	if _, bad := errors.AsType[*url.Error](err); bad {
		return errors.New("it cannot be parsed (write @ : / ? # in a password as %40 %3A %2F %3F %23)")
	}
	return err
}
