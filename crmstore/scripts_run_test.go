package crmstore

import "github.com/redis/go-redis/v9"

func xaddFarAhead(key string) *redis.XAddArgs {
	return &redis.XAddArgs{Stream: key, ID: "99999999999999-3", Values: []string{"o", "x"}}
}
