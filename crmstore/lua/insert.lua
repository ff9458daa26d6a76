-- insert adds new records of one partition in slots of their own at the end, with their column cells.
-- KEYS: 1 records, 2 ids column, 3 archived-at column, 4 counters, 5 log, 6.. columns
-- ARGV: 1 wall (ms), 2 facts, 3 ids (8 bytes each), 4.. each record's properties, then one run of cells for each column
-- Returns: 1 added, 0 nothing changed since one of the ids is there already
-- Cost: the records, twice; one SETRANGE per column
-- Uses: record log
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
local size = redis.call('STRLEN', KEYS[2])
local first = size / 8
local fields = {}
for i, id in ipairs(ids) do
  fields[2 * i - 1] = id
  fields[2 * i] = '\1\0\0\0\0\0\0\0' .. slot_bytes(first + i - 1) .. '\0\0\0\0\0\0\0\0\0\0' .. ARGV[3 + i]
end
redis.call('HSET', KEYS[1], unpack(fields))
redis.call('SETRANGE', KEYS[2], size, ARGV[3])
redis.call('SETRANGE', KEYS[3], size, string.rep(live_cell, #ids))
for i = 6, #KEYS do
  redis.call('SETRANGE', KEYS[i], size, ARGV[i - 2 + #ids])
end
redis.call('HINCRBY', KEYS[4], 'live', #ids)
log_event(KEYS[5], ARGV[1], 'create', ARGV[3], ARGV[2], '')
return 1
