-- save_matches replaces a run's matches in one partition. Without ids nothing is left of them but the fence, and that for
-- as long as finished matches stay.
-- KEYS: 1 the run's matches
-- Types: hash
-- ARGV: 1 fence (empty: none), 2 ids (8 bytes each), 3 done (1, 0), 4 deleted, 5 changed, 6 failed, 7 seconds that finished matches stay, 8 first (1: there are none yet; 0), 9 held
-- Returns: 1, or -1: a higher fence was seen, -2: first, but there are some
-- Cost: the ids
-- Uses: fence
if fenced(KEYS[1], ARGV[1]) then
  return -1
end
if ARGV[8] == '1' and redis.call('HEXISTS', KEYS[1], 'ids') == 1 then
  return -2
end
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], 'ids', 'done', 'del', 'chg', 'fail', 'hold')
  redis.call('EXPIRE', KEYS[1], ARGV[7])
else
  redis.call('HSET', KEYS[1], 'ids', ARGV[2], 'done', ARGV[3], 'del', ARGV[4], 'chg', ARGV[5], 'fail', ARGV[6], 'hold', ARGV[9])
  redis.call('PERSIST', KEYS[1])
end
return 1
