-- create_account makes an account with its schemas and its first user, unless it exists.
-- KEYS: 1 account hash, 2 schema hash, 3 account log, 4 users hash
-- Types: hash hash log hash
-- ARGV: 1 layout version, 2 tier, 3 partitions, 4 created (ms), 5 wall (ms), 6 facts, 7 user's name, 8 user (JSON), 9 key of claims, 10.. pairs of object type and schema (JSON)
-- Returns: 1 made, 0 exists already
-- Cost: one field per object type
-- Uses: log counts
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
redis.call('HSET', KEYS[1], 'layout', ARGV[1], 'tier', ARGV[2], 'partitions', ARGV[3], 'created', ARGV[4], 'key', ARGV[9])
redis.call('HSET', KEYS[4], ARGV[7], '1 ' .. ARGV[8])
for i = 10, #ARGV, 2 do
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1], ARGV[i] .. ':v', 1)
end
log_event(KEYS[3], ARGV[5], 'create-account', '', ARGV[6], ARGV[2])
return 1
