-- accept_loss begins the ledger of records anew with what is there, and takes away what was marked as lost.
-- KEYS: 1 account hash, 2 ledger hash, 3 health hash, 4 account log
-- Types: hash hash hash log
-- ARGV: 1 wall (ms), 2 facts, 3 what is accepted, in words, 4 number n of what follows of the ledger, 5.. n of triples of field, window and its sum, then pairs of health field and accepted count
-- Returns: 1 done, 0 no such account
-- Cost: one field per window and server
-- Uses: log counts
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
local n = tonumber(ARGV[4])
for i = 5, 4 + n, 3 do
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
  redis.call('HSET', KEYS[1], 'ledger:' .. ARGV[i], ARGV[i + 2])
  redis.call('HDEL', KEYS[3], 'lost:' .. ARGV[i], 'ledger:' .. ARGV[i])
end
for i = 5 + n, #ARGV, 2 do
  redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1])
end
log_event(KEYS[4], ARGV[1], 'accept-loss', '', ARGV[2], ARGV[3])
return 1
