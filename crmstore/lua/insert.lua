-- insert adds new records of one partition with their column cells: in free slots first, then in new slots at the end.
-- KEYS: 1 records, 2 ids column, 3 archived-at column, 4 counters, 5 log, 6 free slots, 7 tombstones, 8.. columns
-- ARGV: 1 wall (ms), 2 facts, 3 ids (8 bytes each), 4.. each record's properties, then one run of cells for each column
-- Returns: 1 added, 0 nothing changed since one of the ids is there already, 2 nothing changed since one has a tombstone
-- Cost: the records, twice; one SETRANGE per column and run of neighbouring slots
-- Uses: slots record log
local ids = {}
for i = 1, #ARGV[3], 8 do
  ids[#ids + 1] = string.sub(ARGV[3], i, i + 7)
end
local there = redis.call('HMGET', KEYS[1], unpack(ids))
for i = 1, #ids do
  if there[i] then
    return 0
  end
end
if redis.call('EXISTS', KEYS[7]) == 1 then
  local tombs = redis.call('HMGET', KEYS[7], unpack(ids))
  for i = 1, #ids do
    if tombs[i] then
      return 2
    end
  end
end
local slots = take_slots(KEYS[6], KEYS[2], #ids)
local fields = {}
for i, id in ipairs(ids) do
  fields[2 * i - 1] = id
  fields[2 * i] = '\1\0\0\0\0\0\0\0' .. slot_bytes(slots[i]) .. '\0\0\0\0\0\0\0\0\0\0' .. ARGV[3 + i]
end
redis.call('HSET', KEYS[1], unpack(fields))
local runs = runs_of(slots) -- one, when no slot was free
set_runs(KEYS[2], runs, ARGV[3])
set_runs(KEYS[3], runs, string.rep(live_cell, #ids))
for i = 8, #KEYS do
  set_runs(KEYS[i], runs, ARGV[i - 4 + #ids])
end
redis.call('HINCRBY', KEYS[4], 'live', #ids)
log_event(KEYS[5], ARGV[1], 'create', ARGV[3], ARGV[2], '')
return 1
