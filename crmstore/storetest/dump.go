package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Dump is everything that a server holds, as key → type and value; fmt sorts the fields of hashes. Use it on a
// server that no other test writes to ([StartServer]).
func Dump(t testing.TB, url string) map[string]string {
	t.Helper()
	o, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal("storetest: ", err)
	}
	o.DisableIdentity = true
	client := redis.NewClient(o)
	defer func() { _ = client.Close() }()
	ctx := context.Background()
	all := map[string]string{}
	keys := client.Scan(ctx, 0, "", 1000).Iterator()
	for keys.Next(ctx) {
		value, err := value(ctx, client, keys.Val())
		if err != nil {
			t.Fatalf("storetest: dump %s: %v", keys.Val(), err)
		}
		all[keys.Val()] = value
	}
	if err := keys.Err(); err != nil {
		t.Fatal("storetest: ", err)
	}
	return all
}

// value is not the server's own serialisation, since that changes when the server moves a hash's fields around.
func value(ctx context.Context, client *redis.Client, key string) (string, error) {
	kind, err := client.Type(ctx, key).Result()
	if err != nil {
		return "", err
	}
	var v any
	switch kind {
	case "string":
		v, err = client.Get(ctx, key).Result()
	case "hash":
		v, err = client.HGetAll(ctx, key).Result()
	case "list":
		v, err = client.LRange(ctx, key, 0, -1).Result()
	case "set":
		var members []string
		members, err = client.SMembers(ctx, key).Result()
		slices.Sort(members)
		v = members
	case "zset":
		v, err = client.ZRangeWithScores(ctx, key, 0, -1).Result()
	case "stream":
		v, err = client.XRange(ctx, key, "-", "+").Result()
	default:
		err = fmt.Errorf("a %s is not expected here", kind)
	}
	return fmt.Sprintf("%s %q", kind, v), err
}
