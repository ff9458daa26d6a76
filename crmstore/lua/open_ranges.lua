-- open_ranges lays out a run's work as ranges that its helpers can take, unless it is laid out already.
-- KEYS: 1 ranges, 2 fence counter
-- Types: hash string
-- ARGV: 1 the run's own fence, 2.. ranges by number
-- Returns: 1 when they are there, -1: a number above the run's own was taken, by whoever stopped the run or took it over
-- Cost: constant for each range
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 1
end
if tonumber(redis.call('GET', KEYS[2]) or '0') > tonumber(ARGV[1]) then
  return -1
end
for i = 2, #ARGV do
  redis.call('HSET', KEYS[1], ARGV[i], '0 0 0 0 ')
end
return 1
