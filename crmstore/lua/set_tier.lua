-- set_tier changes the account's tier.
-- KEYS: 1 account hash, 2 account log
-- Types: hash log
-- ARGV: 1 new tier, 2 wall (ms), 3 facts
-- Returns: 1 done, 0 no such account
-- Cost: constant
-- Uses: log counts
local old = redis.call('HGET', KEYS[1], 'tier')
if not old then
  return 0
end
if old ~= ARGV[1] then
  redis.call('HSET', KEYS[1], 'tier', ARGV[1])
  log_event(KEYS[2], ARGV[2], 'set-tier', '', ARGV[3], old .. ' to ' .. ARGV[1])
end
return 1
