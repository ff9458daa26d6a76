-- seal keeps everybody with a lower fencing number from a run's matches in one partition.
-- KEYS: 1 the run's matches
-- Types: hash
-- ARGV: 1 fence
-- Returns: 1 when there are matches, else 0
-- Cost: constant
-- Uses: fence
if redis.call('HEXISTS', KEYS[1], 'ids') == 0 then
  return 0
end
fenced(KEYS[1], ARGV[1])
return 1
