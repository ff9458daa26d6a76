-- forget_run removes a run that is over, if it is still at the version that was read.
-- KEYS: 1 the run, 2 runs zset, 3 the workflow's runs zset, 4 fence counter, 5 deletions of runs that are counted already
-- Types: string zset zset string hash
-- ARGV: 1 run id, 2 version read
-- Returns: 1 removed, 0 another version is there
-- Cost: log(runs)
local now = redis.call('GET', KEYS[1])
if now and string.match(now, '^(%d+) ') ~= ARGV[2] then
  return 0
end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('DEL', KEYS[1], KEYS[4])
redis.call('HDEL', KEYS[5], ARGV[1])
return 1
