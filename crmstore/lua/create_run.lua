-- create_run saves a new run, unless its workflow has one that is not over.
-- KEYS: 1 the run, 2 active hash, 3 runs zset, 4 the workflow's runs zset (a deletion by hand: key 3 again)
-- Types: string hash zset zset
-- ARGV: 1 run id, 2 workflow (a deletion by hand: the run id), 3 run (JSON), 4 started (ms)
-- Returns: '' when saved, '=' if the id is taken, else the id of the run that is not over
-- Cost: log(runs)
local active = redis.call('HGET', KEYS[2], ARGV[2])
if active then
  return active
end
if redis.call('EXISTS', KEYS[1]) == 1 then
  return '='
end
redis.call('SET', KEYS[1], '1 ' .. ARGV[3])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[1])
redis.call('ZADD', KEYS[3], ARGV[4], ARGV[1])
redis.call('ZADD', KEYS[4], ARGV[4], ARGV[1])
return ''
