package storetest

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"
)

// TextBytes is how much memory a server has given to keys that hold a text, as columns do. Use it on a server that no
// other test talks to ([StartServer]).
func TextBytes(t testing.TB, url string) int64 {
	t.Helper()
	o, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal("storetest: ", err)
	}
	o.DisableIdentity = true
	client := redis.NewClient(o)
	defer func() { _ = client.Close() }()
	ctx := context.Background()
	var sum int64
	keys := client.ScanType(ctx, 0, "", 1000, "string").Iterator()
	for keys.Next(ctx) {
		n, err := client.MemoryUsage(ctx, keys.Val()).Result()
		if err != nil {
			t.Fatalf("storetest: memory of %s: %v", keys.Val(), err)
		}
		sum += n
	}
	if err := keys.Err(); err != nil {
		t.Fatal("storetest: ", err)
	}
	return sum
}
