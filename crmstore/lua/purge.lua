-- purge removes records of one partition that are in the bin, if they are still as they were read: record, cells, list
-- bits and enrollments. Their slots become free. What stays is one audit event with the ids and, of a permanent deletion,
-- a tombstone for each, with facts of its own. A record whose slot is not its own by the ids column is left to doctor:
-- the slot's cells may be another record's; so is one that still has associations, which must be dissolved at both ends first.
-- KEYS: 1 records, 2 ids column, 3 archived-at column, 4 counters, 5 log, 6 free slots, 7 tombstones, 8 associations, 9 holds, 10.. columns, lists, enrollments
-- Types: hash string string hash log list hash hash hash *..
-- ARGV: 1 wall (ms), 2 facts, 3 archived-at cell of a free slot, 4 how many columns, 5 how many lists, 6 audit event, 7 facts for tombstones (empty: none), 8 targets: id and version each, 9.. object types that others may be of
-- Returns: a character per target: 1 purged, 0 not in the bin at that version, 2 its slot is not its own, 3 it has associations, 4 it is on legal hold
-- Cost: the records, once; one SETRANGE per column and run of neighbouring slots, one SETBIT per list and record
-- Uses: slots record associations log hold counts
local ids, keys = {}, {}
for i = 1, #ARGV[8], 16 do
  ids[#ids + 1] = string.sub(ARGV[8], i, i + 7)
end
local columns, lists, counted = tonumber(ARGV[4]), tonumber(ARGV[5]), {'archived', 'purged'}
for i = 10, #KEYS do
  keys[#keys + 1] = KEYS[i]
  local refused = wrong_key(KEYS[i], #keys > columns + lists and 'hash' or 'string')
  if refused then
    return refused
  end
  if i > 9 + columns then
    counted[#counted + 1] = counted_name(KEYS[i])
    counted[#counted + 1] = 'sum:' .. counted_name(KEYS[i])
  end
end
local records = redis.call('HMGET', KEYS[1], unpack(ids))
local types = {}
for i = 9, #ARGV do
  types[#types + 1] = ARGV[i]
end
local held, lost = held_among(KEYS[1], KEYS[9], KEYS[4], ids)
local tied = has_association(KEYS[8], ids, types)
local outcome, gone, slots, done = {}, {}, {}, {}
for i, id in ipairs(ids) do
  local old = records[i]
  outcome[i] = '0'
  if old and not done[id] and string.sub(old, 1, 8) == string.sub(ARGV[8], 16 * i - 7, 16 * i)
      and string.sub(old, 13, 20) ~= live_cell then
    local slot = slot_of(old)
    outcome[i] = '2'
    if held[i] then
      outcome[i] = '4'
    elseif tied[i] then
      outcome[i] = '3'
    elseif redis.call('GETRANGE', KEYS[2], 8 * slot, 8 * slot + 7) == id then
      outcome[i] = '1'
      done[id] = true
      gone[#gone + 1] = id
      slots[#slots + 1] = slot
    end
  end
end
local refused = lost or wrong_counts(KEYS[4], unpack(counted))
if refused then
  return refused
end
if #gone > 0 then
  redis.call('HDEL', KEYS[1], unpack(gone))
  for i = columns + lists + 1, #keys do
    drop_entries(KEYS[4], keys[i], gone)
  end
  table.sort(slots)
  clear_slots(slots, keys, columns, lists, KEYS[4])
  set_cells(KEYS[2], slots, live_cell)
  set_cells(KEYS[3], slots, ARGV[3])
  redis.call('RPUSH', KEYS[6], unpack(slots))
  redis.call('HINCRBY', KEYS[4], 'archived', -#gone)
  redis.call('HINCRBY', KEYS[4], 'purged', #gone)
  if ARGV[7] ~= '' then
    for _, id in ipairs(gone) do
      redis.call('HSET', KEYS[7], id, ARGV[7])
    end
  end
  log_event(KEYS[5], ARGV[1], ARGV[6], table.concat(gone), ARGV[2], '')
end
return table.concat(outcome)
