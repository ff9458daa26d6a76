-- keep_range writes an owner's sign of life into its range, hands the range back, or marks it done.
-- KEYS: 1 ranges
-- Types: hash
-- ARGV: 1 range, 2 the owner's number, 3 the range as it shall be
-- Returns: 1; 0 when somebody else has taken the range, or it is not there any more
-- Cost: constant
local now = redis.call('HGET', KEYS[1], ARGV[1])
if not now or string.match(now, '^%d+ (%d+) ') ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
