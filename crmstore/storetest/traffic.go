package storetest

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// BytesOut is how many bytes a server has sent to its clients since it started. Use it on a server that no other
// test talks to ([StartServer]).
func BytesOut(t testing.TB, url string) int64 {
	t.Helper()
	return figure(t, url, "stats", "total_net_output_bytes")
}

// Connections is how many clients are connected to a server, without the one that asks.
func Connections(t testing.TB, url string) int64 {
	t.Helper()
	return figure(t, url, "clients", "connected_clients") - 1
}

// figure is a number that a server says about itself.
func figure(t testing.TB, url, section, name string) int64 {
	t.Helper()
	o, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal("storetest: ", err)
	}
	o.DisableIdentity = true
	client := redis.NewClient(o)
	defer func() { _ = client.Close() }()
	info, err := client.Info(context.Background(), section).Result()
	if err != nil {
		t.Fatal("storetest: read the server's statistics: ", err)
	}
	for line := range strings.Lines(info) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				t.Fatal("storetest: ", err)
			}
			return n
		}
	}
	t.Fatalf("storetest: the server's statistics hold no %s", name)
	return 0
}
