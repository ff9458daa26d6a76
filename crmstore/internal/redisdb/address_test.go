package redisdb

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
)

func TestWithoutSecrets(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"redis://localhost:6379/3":                                    "redis://localhost:6379/3",
		"redis://:secret@localhost:6379":                              "redis://localhost:6379",
		"rediss://anna:secret@db.example.com:6380/0?a=secret":         "rediss://anna@db.example.com:6380/0",
		"redis+cluster://anna:secret@a:1,b:2":                         "redis+cluster://anna@a:1,b:2",
		"redis+sentinel://:secret@a:1,b:2/m?sentinel_password=secret": "redis+sentinel://a:1,b:2/m",
		"unix://anna:secret@/run/redis.sock":                          "unix://anna@/run/redis.sock",
		"redis://anna:sec/ret@host:1":                                 "redis://…",
		"redis://anna:secret":                                         "redis://…",
		"redis+cluster://anna:sec@ret,secret":                         "redis+cluster://…",
		"redis://%zz:secret@host":                                     "redis://…",
	} {
		if got := withoutSecrets(address); got != want {
			t.Errorf("withoutSecrets(%q) = %q, want %q", address, got, want)
		}
	}
}

func TestCheckServer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		info    string
		cluster bool
		want    string
	}{
		{"", false, ""},
		{"# Server\r\nredis_version:6.2.0\r\nredis_mode:standalone\r\nmaxmemory:100\r\nmaxmemory_policy:noeviction\r\n", false, ""},
		{"redis_version:6.0.16\r\n", false, "6.2 or later"},
		{"redis_version:5.0\r\n", false, "6.2 or later"},
		{"redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.0.0\r\n", false, ""},
		{"redis_version:10.0.0\r\n", false, ""},
		{"redis_version:7.0.15\r\nredis_mode:cluster\r\n", false, "redis+cluster://"},
		{"redis_version:7.0.15\r\nredis_mode:cluster\r\n", true, ""},
		{"maxmemory:100\r\nmaxmemory_policy:allkeys-lru\r\n", false, "noeviction"},
		{"maxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n", false, ""},
		{"maxmemory:100\r\nmaxmemory_policy:volatile-lru\r\n", false, "volatile-lru"},
	} {
		switch err := CheckServer(c.info, c.cluster); {
		case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("checkServer(%q, %v): %v, want %q", c.info, c.cluster, err, c.want)
		}
	}
}

func TestTroubleWords(t *testing.T) {
	t.Parallel()
	s := &DB{Place: "redis://here"}
	for text, want := range map[string]string{
		"READONLY You can't write against a read only replica.":                                      "read-only replica",
		"ERR Error running script (call to f_1): @user_script:1: -OOM command not allowed when used": "out of memory",
		"OOM command not allowed when used memory > 'maxmemory'. script: 1, on @user_script:3.":      "out of memory",
		"LOADING Redis is loading the dataset in memory":                                             "still loading",
		"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to":            "cannot save to disk",
		"NOAUTH Authentication required.":                                                            "asks for a password",
		"WRONGPASS invalid username-password pair or user is disabled.":                              "user name or the password",
		"CLUSTERDOWN The cluster is down":                                                            "cluster is down",
		"ERR max number of clients reached":                                                          "no connection left",
		"NOPERM this user has no permissions to run the 'evalsha' command":                           "ACL",
		"ERR wrong number of arguments":                                                              "",
	} {
		err := s.Explain(errors.New(text))
		switch {
		case want == "" && err.Error() != text:
			t.Errorf("trouble(%q) = %q, want it as it is", text, err)
		case !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), text):
			t.Errorf("trouble(%q) = %q, want %q", text, err, want)
		}
		if again := s.Explain(fmt.Errorf("read: %w", err)); again.Error() != "read: "+err.Error() {
			t.Errorf("words twice: %q", again)
		}
	}
	refused := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	if err := s.Explain(refused); !errors.Is(err, refused) || !strings.Contains(err.Error(), "redis://here cannot be reached") {
		t.Errorf("trouble of a refused connection: %v", err)
	}
}

// No part of a password is shown, however the address was mistyped.
func TestOpen_NeverShowsAPassword(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"redis://u:hunter2@host:x/0", "redis://u:hun?ter2@host:6379", "redis://u:12/hunter2@host:6379", "redis://u:12#hunter2@host",
		"redis://u:hunter2%zz@host", "redis://host:6379?password=hunter2", "redis://host?hunter2", "redis://host?read_timeout=hunter2", "redis://host?db=hunter2",
		"rediss://u:hunter2@[::1", "hunter2@host:6379", "u:hunter2@host", "redis:hunter2@host://x", "HUNTER2hunter2://x@y", "redis+sentinel://a:1/m?sentinel_password=hunter2&x=1",
		"redis+sentinel://u:hunter2@a/m", "redis+sentinel://u:hunter2@a:1,b:2", "redis+sentinel://u:hun?ter2@a:1/m", "redis+sentinel://u:1/hunter2@a:1/m", "redis+cluster://u:hunter2@a:1/path",
		"redis+cluster://a:1?hunter2=hunter2", "unix://u:hunter2@", "redis://hunter2@host:6379?x=y", "redis+sentinel://:hunter2@host:26379/m?sentinel_password=hunter2&db=hunter2x",
	} {
		_, err := Open(t.Context(), address)
		shown := PublicAddress(address)
		if err != nil {
			shown += " " + err.Error()
		}
		if strings.Contains(strings.ToLower(strings.ReplaceAll(shown, "hunter2x", "")), "hunter2") || strings.Contains(shown, "ter2@") {
			t.Errorf("%s shows %s", address, shown)
		}
	}
}
