-- insert adds new records of one partition with their column cells: in free slots first, then in new slots at the end.
-- KEYS: 1 records, 2 ids column, 3 archived-at column, 4 counters, 5 log, 6 free slots, 7 tombstones, 8.. columns
-- Types: hash string string hash log list hash string..
-- ARGV: 1 wall (ms), 2 facts, 3 how many records, 4 first slot, from which on the records' bytes have their slots, 5.. id (8 bytes) and bytes of each record, then one run of cells for each column
-- Returns: the next slot at the end, -1 nothing changed since one of the ids is there already, -2 nothing changed since one has a tombstone
-- Cost: the records, once when their slots are right and else three times; one SETRANGE per column and run of neighbouring slots
-- Uses: slots record log counts
local ids, n = {}, tonumber(ARGV[3])
for i = 1, n do
  ids[i] = ARGV[3 + 2 * i]
end
local there = redis.call('HMGET', KEYS[1], unpack(ids))
for i = 1, n do
  if there[i] then
    return -1
  end
end
if redis.call('EXISTS', KEYS[7]) == 1 then
  local tombs = redis.call('HMGET', KEYS[7], unpack(ids))
  for i = 1, n do
    if tombs[i] then
      return -2
    end
  end
end
local slots, next_slot, listed = find_slots(KEYS[6], KEYS[2], n)
local refused = too_many(2 * n) or wrong_counts(KEYS[4], 'live')
if refused then
  return refused
elseif next_slot % 1 ~= 0 or 8 * next_slot > longest_text then
  return redis.error_reply('DAMAGED ' .. KEYS[2] .. ' ends within a cell, or takes no more')
end
if listed > 0 then
  redis.call('LTRIM', KEYS[6], listed, -1)
end
local runs = runs_of(slots) -- one, when no slot was free
if #runs == 1 and slots[1] == tonumber(ARGV[4]) then
  redis.call('HSET', KEYS[1], unpack(ARGV, 5, 4 + 2 * n))
else
  local fields = {}
  for i, id in ipairs(ids) do
    local record = ARGV[4 + 2 * i]
    fields[2 * i - 1] = id
    fields[2 * i] = string.sub(record, 1, 8) .. slot_bytes(slots[i]) .. string.sub(record, 13)
  end
  redis.call('HSET', KEYS[1], unpack(fields))
end
local packed = table.concat(ids)
set_runs(KEYS[2], runs, packed)
set_runs(KEYS[3], runs, string.rep(live_cell, n))
for i = 8, #KEYS do
  set_runs(KEYS[i], runs, ARGV[i - 3 + 2 * n])
end
redis.call('HINCRBY', KEYS[4], 'live', n)
log_event(KEYS[5], ARGV[1], 'create', packed, ARGV[2], '')
return next_slot
