-- members puts records of one partition on a static list or takes them off. A record whose membership changes gets
-- a new version, so that who tested it before notices.
-- KEYS: 1 records, 2 list (a bit per slot), 3 log, 4 counters
-- Types: hash string log hash
-- ARGV: 1 wall (ms), 2 facts, 3 detail, 4 bit (1: put on, 0: take off), 5 ids (8 bytes each)
-- Returns: a character per record: 1 changed, 0 was so already, 2 not there
-- Cost: the records, twice; one SETBIT for each, one GETRANGE for each byte of the list that changes
-- Uses: record log counts
local ids = {}
for i = 1, #ARGV[5], 8 do
  ids[#ids + 1] = string.sub(ARGV[5], i, i + 7)
end
local records = redis.call('HMGET', KEYS[1], unpack(ids))
local outcome, fields, changed, slots, done, bit = {}, {}, {}, {}, {}, tonumber(ARGV[4])
for i, id in ipairs(ids) do
  local old = records[i]
  if not old then
    outcome[i] = '2'
  elseif done[id] or redis.call('GETBIT', KEYS[2], slot_of(old)) == bit then
    outcome[i] = '0'
  else
    outcome[i] = '1'
    done[id] = true
    slots[#slots + 1] = slot_of(old)
    changed[#changed + 1] = id
    fields[#fields + 1] = id
    fields[#fields + 1] = with_next_version(old, -1)
  end
end
local refused = too_many(#fields) or wrong_counts(KEYS[4], counted_name(KEYS[2]), 'sum:' .. counted_name(KEYS[2]))
if refused then
  return refused
end
if #changed > 0 then
  for _, slot in ipairs(slots) do
    redis.call('SETBIT', KEYS[2], slot, bit)
  end
  redis.call('HSET', KEYS[1], unpack(fields))
  local op, by = 'list-remove', -#changed
  if bit == 1 then
    op, by = 'list-add', #changed
  end
  count_change(KEYS[4], KEYS[2], by)
  sum_change(KEYS[4], KEYS[2], slots, 2 * bit - 1)
  log_event(KEYS[3], ARGV[1], op, table.concat(changed), ARGV[2], ARGV[3])
end
return table.concat(outcome)
