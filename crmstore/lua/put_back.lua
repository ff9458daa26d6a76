-- put_back puts a record that stands in quarantine back as it was: its bytes, its archived-at cell, its place in the counts.
-- KEYS: 1 records, 2 quarantine, 3 archived-at column, 4 counters, 5 log
-- Types: hash hash string hash log
-- ARGV: 1 wall (ms), 2 facts, 3 id (8 bytes)
-- Returns: 1 put back, 0 it is not in quarantine, -1 there is a record of that id
-- Cost: constant
-- Uses: record log counts
local kept = redis.call('HGET', KEYS[2], ARGV[3])
if not kept then
  return 0
end
if redis.call('HEXISTS', KEYS[1], ARGV[3]) == 1 then
  return -1
end
-- Its archived-at cell (8 bytes) and its slot (4) stand before its bytes.
local cell, slot = string.sub(kept, 1, 8), slot_of(kept)
local count = cell == live_cell and 'live' or 'archived'
local refused = wrong_counts(KEYS[4], count)
if refused then
  return refused
end
local reached = 8 * slot + 8 <= redis.call('STRLEN', KEYS[3]) -- a damaged record's slot may be anywhere
redis.call('HSET', KEYS[1], ARGV[3], string.sub(kept, 13))
redis.call('HDEL', KEYS[2], ARGV[3])
if reached then
  redis.call('SETRANGE', KEYS[3], 8 * slot, cell)
end
redis.call('HINCRBY', KEYS[4], count, 1)
log_event(KEYS[5], ARGV[1], 'put-back', ARGV[3], ARGV[2], '')
return 1
