package rivals

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Hashes is the obvious program's store: one hash for each contact.
type Hashes struct {
	rdb *redis.Client
}

// The sizes of the obvious program's pipelines.
const (
	scanCount = 1000
	perPipe   = 500
)

// hashPrefix is where its contacts are.
const hashPrefix = "contact:"

// OpenHashes connects to a server's socket.
func OpenHashes(socket string) *Hashes {
	return &Hashes{rdb: redis.NewClient(&redis.Options{Network: "unix", Addr: socket, ReadTimeout: time.Minute})}
}

// Close disconnects.
func (h *Hashes) Close() error { return h.rdb.Close() }

// Do sends one command and forgets the answer.
func (h *Hashes) Do(ctx context.Context, args ...any) error {
	if err := h.rdb.Do(ctx, args...).Err(); err != nil {
		return fmt.Errorf("%v: %w", args[0], err)
	}
	return nil
}

// UsedMemory is how many bytes the server has allocated.
func (h *Hashes) UsedMemory(ctx context.Context) (float64, error) {
	info, err := h.rdb.Info(ctx, "memory").Result()
	if err != nil {
		return 0, fmt.Errorf("ask for used memory: %w", err)
	}
	for line := range strings.Lines(info) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory:"); ok {
			return strconv.ParseFloat(text, 64)
		}
	}
	return 0, fmt.Errorf("the server does not say how much memory it uses")
}

// MemoryByKind sums MEMORY USAGE of the keys that begin with prefix, by what kind names each. Large hashes are sampled.
func (h *Hashes) MemoryByKind(ctx context.Context, prefix string, kind func(key string) string) (map[string]float64, error) {
	sums := map[string]float64{}
	err := h.scan(ctx, prefix, func(keys []string) error {
		pipe := h.rdb.Pipeline()
		sizes := make([]*redis.IntCmd, len(keys))
		for i, key := range keys {
			sizes[i] = pipe.MemoryUsage(ctx, key, 50)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
		for i, key := range keys {
			sums[kind(key)] += float64(sizes[i].Val())
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("sum the memory of keys: %w", err)
	}
	return sums, nil
}

func (h *Hashes) scan(ctx context.Context, prefix string, fn func(keys []string) error) error {
	var cursor uint64
	for {
		keys, next, err := h.rdb.Scan(ctx, cursor, prefix+"*", scanCount).Result()
		if err != nil {
			return err
		}
		if len(keys) > 0 {
			if err := fn(keys); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// Fill writes contacts, as pairs of name and value each.
func (h *Hashes) Fill(ctx context.Context, ids []uint64, fields [][]string) error {
	for from := 0; from < len(ids); from += perPipe {
		pipe := h.rdb.Pipeline()
		for i := from; i < min(from+perPipe, len(ids)); i++ {
			pipe.HSet(ctx, hashPrefix+strconv.FormatUint(ids[i], 10), fields[i])
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("fill hashes: %w", err)
		}
	}
	return nil
}

// each reads all contacts: SCAN and pipelined HGETALL.
func (h *Hashes) each(ctx context.Context, fn func(key string, fields map[string]string) error) error {
	return h.scan(ctx, hashPrefix, func(keys []string) error {
		pipe := h.rdb.Pipeline()
		all := make([]*redis.MapStringStringCmd, len(keys))
		for i, key := range keys {
			all[i] = pipe.HGetAll(ctx, key)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
		for i, key := range keys {
			if err := fn(key, all[i].Val()); err != nil {
				return err
			}
		}
		return nil
	})
}

// Delete marks contacts as deleted, each with an event in a stream and an enrollment: one transaction for each contact,
// so many of them in one round trip.
func (h *Hashes) Delete(ctx context.Context, ids []uint64, atOnce int, at time.Time) error {
	when := at.Format(time.RFC3339)
	for from := 0; from < len(ids); from += atOnce {
		pipe := h.rdb.Pipeline()
		if atOnce == 1 {
			pipe = h.rdb.TxPipeline()
		}
		for _, id := range ids[from:min(from+atOnce, len(ids))] {
			name := strconv.FormatUint(id, 10)
			pipe.HSet(ctx, hashPrefix+name, "deleted_at", when, "deleted_by", "workflow", "deleted_run", "bench@"+when)
			pipe.XAdd(ctx, &redis.XAddArgs{Stream: "audit", Values: []string{"op", "delete", "id", name, "by", "workflow", "run", "bench@" + when}})
			pipe.HSet(ctx, "enrolled:bench", name, "completed bench@"+when)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("delete hashes: %w", err)
		}
	}
	return nil
}
