-- restore takes records of one partition out of the bin, if they are still as they were read: a new header without
-- deletion facts and the archived-at cell for each, one audit event for all. Enrollments stay.
-- KEYS: 1 records, 2 archived-at column, 3 counters, 4 log
-- Types: hash string hash log
-- ARGV: 1 wall (ms), 2 facts, 3 targets: id and version each
-- Returns: a character per target: 1 restored, 0 not there at that version, or live
-- Cost: the records, twice; one XADD; one SETRANGE per run of neighbouring slots
-- Uses: record log counts
local ids = {}
for i = 1, #ARGV[3], 16 do
  ids[#ids + 1] = string.sub(ARGV[3], i, i + 7)
end
local records = redis.call('HMGET', KEYS[1], unpack(ids))
local outcome, fields, slots, restored = {}, {}, {}, {}
for i, id in ipairs(ids) do
  local old = records[i]
  outcome[i] = '0'
  if old and string.sub(old, 1, 8) == string.sub(ARGV[3], 16 * i - 7, 16 * i) and string.sub(old, 13, 20) ~= live_cell then
    outcome[i] = '1'
    fields[#fields + 1] = id
    fields[#fields + 1] = with_next_version(old, 12) .. live_cell .. '\0\0' .. without_facts(old)
    slots[#slots + 1] = slot_of(old)
    restored[#restored + 1] = id
  end
end
local refused = too_many(#fields) or wrong_counts(KEYS[3], 'live', 'archived') or wrong_slots(KEYS[2], slots)
if refused then
  return refused
end
if #fields > 0 then
  redis.call('HSET', KEYS[1], unpack(fields))
  set_cells(KEYS[2], slots, live_cell)
  redis.call('HINCRBY', KEYS[3], 'live', #fields / 2)
  redis.call('HINCRBY', KEYS[3], 'archived', -#fields / 2)
  log_event(KEYS[4], ARGV[1], 'restore', table.concat(restored), ARGV[2], '')
end
return table.concat(outcome)
