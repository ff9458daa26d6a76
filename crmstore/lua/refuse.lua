-- refuse notes that somebody was refused for lack of a permission.
-- KEYS: 1 refusals hash, 2 account log
-- Types: hash log
-- ARGV: 1 permission, 2 wall (ms), 3 facts, 4 detail
-- Returns: 1
-- Cost: constant
-- Uses: log counts
redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
log_event(KEYS[2], ARGV[2], 'refuse', '', ARGV[3], ARGV[4])
return 1
