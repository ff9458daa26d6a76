-- save_clock writes what the account knows of its store's time, if that is still at the version that was read. The account
-- itself remembers the latest time: so a lost clock hash is told from one that never was.
-- KEYS: 1 clock hash, 2 account log, 3 account hash
-- Types: hash log hash
-- ARGV: 1 version read (0: there is none yet), 2 wall (ms), 3 facts, 4 event ('' = none), 5 detail, 6 how many fields go, 7.. those fields, then fields and values, the latest time (seen) first
-- Returns: 1 done or no such account, 0 another version is there
-- Cost: the number of fields
-- Uses: log counts
if redis.call('EXISTS', KEYS[3]) == 0 then
  return 1
end
if (redis.call('HGET', KEYS[1], 'v') or '0') ~= ARGV[1] then
  return 0
end
local gone = tonumber(ARGV[6])
redis.call('HSET', KEYS[1], 'v', string.format('%.0f', tonumber(ARGV[1]) + 1), unpack(ARGV, 7 + gone))
redis.call('HSET', KEYS[3], 'clock', ARGV[8 + gone])
if gone > 0 then
  redis.call('HDEL', KEYS[1], unpack(ARGV, 7, 6 + gone))
end
if ARGV[4] ~= '' then
  log_event(KEYS[2], ARGV[2], ARGV[4], '', ARGV[3], ARGV[5])
end
return 1
