-- save_schema replaces an object type's schema if it is still at the version that was read.
-- KEYS: 1 schema hash, 2 account log
-- Types: hash log
-- ARGV: 1 object type, 2 version read, 3 schema (JSON), 4 wall (ms), 5 facts, 6 event (empty: none), 7 detail
-- Returns: the new version, or 0 if another version is there
-- Cost: constant
-- Uses: log counts
local field = ARGV[1] .. ':v'
if redis.call('HGET', KEYS[1], field) ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
if ARGV[6] ~= '' then
  log_event(KEYS[2], ARGV[4], ARGV[6], '', ARGV[5], ARGV[7])
end
return redis.call('HINCRBY', KEYS[1], field, 1)
