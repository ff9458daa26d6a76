-- save_mail writes an entry of the outbox if it is still at the version that was read.
-- KEYS: 1 outbox hash, 2 outbox queue zset
-- Types: hash zset
-- ARGV: 1 id, 2 version read (0: there is none yet), 3 entry (JSON; '' removes it), 4 when a sender may take it (ms; '' = never again)
-- Returns: the new version, or 0 if another version is there
-- Cost: log(entries that wait)
local now = redis.call('HGET', KEYS[1], ARGV[1])
local version = now and string.match(now, '^(%d+) ') or '0'
if version ~= ARGV[2] then
  return 0
end
if ARGV[4] == '' then
  redis.call('ZREM', KEYS[2], ARGV[1])
else
  redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
  return 1
end
local fresh = tonumber(version) + 1
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', fresh) .. ARGV[3])
return fresh
