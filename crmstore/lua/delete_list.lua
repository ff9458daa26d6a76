-- delete_list takes a list's name away, and remembers that its bits in the partitions are still to be removed.
-- KEYS: 1 lists, 2 numbers of deleted lists whose bits are not all gone, 3 account log
-- Types: hash set log
-- ARGV: 1 name, 2 number, 3 wall (ms), 4 facts, 5 detail
-- Returns: 1, or 0 if there is no list of that name and number
-- Cost: constant
-- Uses: log counts
local value = redis.call('HGET', KEYS[1], ARGV[1])
if not value or string.match(value, '^%d+') ~= ARGV[2] then
  return 0
end
redis.call('HDEL', KEYS[1], ARGV[1])
if value == ARGV[2] then
  redis.call('SADD', KEYS[2], ARGV[2])
end
log_event(KEYS[3], ARGV[3], 'delete-list', '', ARGV[4], ARGV[5])
return 1
