package storetest

import (
	"testing"

	"github.com/redis/go-redis/v9"
)

// Client is a plain client of the server at HOST:PORT, for tests that do to a server what no store would. It is closed
// with the test.
func Client(t testing.TB, address string) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: address})
	t.Cleanup(func() { _ = client.Close() })
	return client
}
