-- add_object defines an object type with its schema, unless its name is taken.
-- KEYS: 1 objects hash, 2 schema hash, 3 account log
-- Types: hash hash log
-- ARGV: 1 name, 2 definition (JSON), 3 schema (JSON), 4 wall (ms), 5 facts, 6 detail
-- Returns: 1 added, 0 the name is taken
-- Cost: constant
-- Uses: log counts
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 or redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 0 then
  return 0
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3], ARGV[1] .. ':v', 1)
log_event(KEYS[3], ARGV[4], 'add-object', '', ARGV[5], ARGV[6])
return 1
