-- rewrite_log copies a stretch of a stream of audit events, with edits, and puts the copy in its place at the end. Events
-- keep their ids, and so their order. Only whoever began last may go on.
-- KEYS: 1 log, 2 copy, 3 turn, 4 counters
-- Types: stream stream string hash
-- ARGV: 1 token of who rewrites, 2 begin (1: this is the first stretch), 3 from, 4 to (ids of events; empty: none), 5.. edits: id of an event, how many fields and values it shall have (0: it is left out), these fields and values
-- Returns: 1 the copy is in place, 0 there are more events, -1 somebody else has begun since
-- Cost: one XADD per event
-- Uses: counts
if ARGV[2] ~= '1' and redis.call('GET', KEYS[3]) ~= ARGV[1] then
  return -1
end
local edits, at = {}, 5
for _ = 1, #ARGV do
  if at > #ARGV then
    break
  end
  local n = tonumber(ARGV[at + 1])
  local fields = {}
  for i = 1, n do
    fields[i] = ARGV[at + 1 + i]
  end
  edits[ARGV[at]] = fields
  at = at + 2 + n
end
local events, rest = {}, nil
if ARGV[4] == '' then
  rest = redis.call('XRANGE', KEYS[1], ARGV[3], '+', 'COUNT', 1)
else
  events = redis.call('XRANGE', KEYS[1], ARGV[3], ARGV[4])
  rest = redis.call('XRANGE', KEYS[1], '(' .. ARGV[4], '+', 'COUNT', 1)
end
local refused = wrong_counts(KEYS[4], counted_name(KEYS[1]))
if refused then
  return refused
end
if ARGV[2] == '1' then
  redis.call('SET', KEYS[3], ARGV[1])
  redis.call('DEL', KEYS[2])
end
for _, event in ipairs(events) do
  local fields = edits[event[1]] or event[2]
  if #fields > 0 then
    redis.call('XADD', KEYS[2], event[1], unpack(fields))
  end
end
if #rest > 0 then
  return 0
end
count_removed(KEYS[4], KEYS[1], redis.call('XLEN', KEYS[1]) - redis.call('XLEN', KEYS[2]))
redis.call('DEL', KEYS[1], KEYS[3])
if redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('RENAME', KEYS[2], KEYS[1])
end
return 1
