-- trim_log removes the oldest events of a stream of audit events, and counts them off.
-- A partition in which a record is on legal hold keeps its log, which tells what the record was before.
-- KEYS: 1 log, 2 counters, 3 holds
-- Types: stream hash hash
-- ARGV: 1 the oldest id that stays, 2 the most events to remove, whole nodes of the stream only (empty: all that are older)
-- Returns: how many events were removed
-- Cost: the events
-- Uses: counts
local refused = wrong_counts(KEYS[2], counted_name(KEYS[1]))
if refused then
  return refused
end
if redis.call('EXISTS', KEYS[3]) == 1 or tonumber(redis.call('HGET', KEYS[2], counted_name(KEYS[3])) or '0') > 0 then
  return 0
end
local removed
if ARGV[2] == '' then
  removed = redis.call('XTRIM', KEYS[1], 'MINID', ARGV[1])
else
  removed = redis.call('XTRIM', KEYS[1], 'MINID', '~', ARGV[1], 'LIMIT', ARGV[2])
end
count_removed(KEYS[2], KEYS[1], removed)
return removed
