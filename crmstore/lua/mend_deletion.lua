-- mend_deletion writes what an older version left out when it put records of one partition into the bin: their audit
-- event and their enrollments. A record that has another version by now is left alone.
-- KEYS: 1 records, 2 counters, 3 log, 4 enrollments, 5 run
-- Types: hash hash log hash hash
-- ARGV: 1 wall (ms), 2 facts of the deletion, 3 detail of the event, 4 enrollment (empty: none), 5 who lack an event: id and version each, 6 who lack an enrollment: id and version each, 7 seconds that enrollments under a run's own name stay (empty: for good)
-- Returns: how many events' records and enrollments were written
-- Cost: the records, once; one XADD
-- Uses: record log counts
local function unchanged(targets)
  local ids, kept = {}, {}
  for i = 1, #targets, 16 do
    ids[#ids + 1] = string.sub(targets, i, i + 7)
  end
  if #ids == 0 then
    return kept
  end
  local records = redis.call('HMGET', KEYS[1], unpack(ids))
  for i, id in ipairs(ids) do
    local old = records[i]
    if old and string.sub(old, 1, 8) == string.sub(targets, 16 * i - 7, 16 * i) and string.sub(old, 13, 20) ~= live_cell then
      kept[#kept + 1] = id
    end
  end
  return kept
end
local logged, enrolled, fields = unchanged(ARGV[5]), unchanged(ARGV[6]), {}
for _, id in ipairs(enrolled) do
  fields[#fields + 1] = id
  fields[#fields + 1] = ARGV[4]
end
-- The enrollments of a workflow are counted; what a run by hand keeps under its own name is not.
local counted = ARGV[4] ~= '' and string.sub(counted_name(KEYS[4]), 5) ~= string.sub(counted_name(KEYS[5]), 5)
local refused = too_many(#fields) or wrong_counts(KEYS[2], counted_name(KEYS[4]), 'sum:' .. counted_name(KEYS[4]))
if refused then
  return refused
end
if #logged > 0 then
  log_event(KEYS[3], ARGV[1], 'delete', table.concat(logged), ARGV[2], ARGV[3])
end
if #fields > 0 then
  local earlier, added = redis.call('HMGET', KEYS[4], unpack(enrolled)), {}
  for i, id in ipairs(enrolled) do
    if not earlier[i] then
      added[#added + 1] = id
    end
  end
  redis.call('HSET', KEYS[4], unpack(fields))
  if counted then
    count_change(KEYS[2], KEYS[4], #added)
    ids_change(KEYS[2], KEYS[4], added, 1)
  elseif ARGV[7] ~= '' then
    redis.call('EXPIRE', KEYS[4], ARGV[7])
  end
end
return #logged + #fields / 2
