-- finish_matches marks a run's matches in one partition done, with their totals. From then on they stay for a time only,
-- and with them what a deletion by hand keeps under its own name.
-- KEYS: 1 the run's matches, 2 enrollments under the run's own name
-- Types: hash hash
-- ARGV: 1 fence (empty: none), 2 deleted, 3 changed, 4 failed, 5 seconds that finished matches stay, 6 held
-- Returns: 1, or -1: a higher fence was seen
-- Cost: constant
-- Uses: fence
if fenced(KEYS[1], ARGV[1]) then
  return -1
end
redis.call('HSET', KEYS[1], 'done', '1', 'del', ARGV[2], 'chg', ARGV[3], 'fail', ARGV[4], 'hold', ARGV[6])
redis.call('EXPIRE', KEYS[1], ARGV[5])
redis.call('EXPIRE', KEYS[2], ARGV[5])
return 1
