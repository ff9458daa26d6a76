-- drop_counted removes a counted key of a partition with its counter.
-- KEYS: 1 list or enrollments, 2 counters
-- Types: * hash
-- Returns: 1
-- Cost: constant; the server frees the memory later
-- Uses: counts
redis.call('UNLINK', KEYS[1])
redis.call('HDEL', KEYS[2], counted_name(KEYS[1]), 'sum:' .. counted_name(KEYS[1]), 'lost:' .. counted_name(KEYS[1]))
return 1
