-- set_setting gives one of the account's settings a value, or takes it away.
-- KEYS: 1 settings hash, 2 account log, 3 account hash
-- Types: hash log hash
-- ARGV: 1 setting, 2 value ('' = take it away), 3 wall (ms), 4 facts, 5 default, as the log names it
-- Returns: 1 done or nothing to do, 0 no such account
-- Cost: constant
-- Uses: log counts
if redis.call('EXISTS', KEYS[3]) == 0 then
  return 0
end
local old = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if old == ARGV[2] then
  return 1
end
local before, after = old, ARGV[2]
if after == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
  after = ARGV[5]
else
  redis.call('HSET', KEYS[1], ARGV[1], after)
end
if before == '' then
  before = ARGV[5]
end
log_event(KEYS[2], ARGV[3], 'set-setting', '', ARGV[4], ARGV[1] .. ': from ' .. before .. ' to ' .. after)
return 1
