-- take_range gives a range to a new owner, if it still is as the caller has seen it, with a fencing number of its own.
-- KEYS: 1 ranges, 2 fence counter
-- Types: hash string
-- ARGV: 1 range, 2 the number it had when it was seen, 3 done when it was seen (1 or 0), 4 the run's own fence, 5 wall (ms), 6 owner
-- Returns: the fencing number; 0 when the range is not as it was seen, or not there any more
-- Cost: constant
-- Uses: fence
local now = redis.call('HGET', KEYS[1], ARGV[1])
if not now then
  return 0
end
local done, number = string.match(now, '^(%d+) (%d+) ')
if done ~= ARGV[3] or number ~= ARGV[2] then
  return 0
end
local fresh = next_fence(KEYS[2], ARGV[4])
redis.call('HSET', KEYS[1], ARGV[1], '0 ' .. string.format('%.0f', fresh) .. ' ' .. ARGV[5] .. ' 0 ' .. ARGV[6])
return fresh
