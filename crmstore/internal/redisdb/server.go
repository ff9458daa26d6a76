package redisdb

import (
	"errors"
	"fmt"
	"strings"
)

// CheckServer refuses servers that cannot hold a store, given what INFO says. What INFO does not say is no reason.
func CheckServer(info string, cluster bool) error {
	facts := ParseInfo(info)
	var major, minor int
	if n, _ := fmt.Sscanf(facts["redis_version"], "%d.%d", &major, &minor); n == 2 && (major < 6 || major == 6 && minor < 2) {
		return fmt.Errorf("the server is Redis %s; 6.2 or later is needed (or any Valkey)", facts["redis_version"])
	}
	if facts["redis_mode"] == "cluster" && !cluster {
		return errors.New("the server belongs to a cluster (open it with redis+cluster://)")
	}
	if policy := EvictionPolicy(facts); policy != "" {
		return fmt.Errorf("the server has maxmemory-policy %s: when its memory is full it would drop records by itself (set noeviction)", policy)
	}
	return nil
}

// ParseInfo reads what INFO answers.
func ParseInfo(text string) map[string]string {
	facts := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			facts[name] = value
		}
	}
	return facts
}

// EvictionPolicy is the policy by which the server drops keys when its memory is full; "" when it drops none. Those that drop only
// keys with a time to live count too: what a run has found out has one.
func EvictionPolicy(info map[string]string) string {
	policy, limit := info["maxmemory_policy"], info["maxmemory"]
	if limit == "" || limit == "0" || policy == "" || policy == "noeviction" {
		return ""
	}
	return policy
}
