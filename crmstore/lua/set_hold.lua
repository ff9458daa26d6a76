-- set_hold puts records of one partition on legal hold, or takes them off it: live ones and those in the bin.
-- KEYS: 1 records, 2 holds, 3 counters, 4 log
-- Types: hash hash hash log
-- ARGV: 1 wall (ms), 2 facts, 3 hold (1: put on, 0: take off), 4 ids (8 bytes each)
-- Returns: a character per record: 1 changed, 0 was so already, 2 not there
-- Cost: the ids; one XADD
-- Uses: log counts
local ids, outcome, changed, fields = {}, {}, {}, {}
for i = 1, #ARGV[4], 8 do
  ids[#ids + 1] = string.sub(ARGV[4], i, i + 7)
end
local refused = too_many(2 * #ids) or wrong_counts(KEYS[3], counted_name(KEYS[2]), 'sum:' .. counted_name(KEYS[2]))
if refused then
  return refused
end
local done, holds = {}, redis.call('HMGET', KEYS[2], unpack(ids))
for i, id in ipairs(ids) do
  outcome[i] = '0'
  if ARGV[3] == '1' and redis.call('HEXISTS', KEYS[1], id) == 0 then
    outcome[i] = '2'
  elseif not done[id] and (ARGV[3] == '1') ~= (holds[i] and true or false) then
    outcome[i], done[id] = '1', true
    changed[#changed + 1] = id
    fields[#fields + 1] = id
    fields[#fields + 1] = ARGV[2]
  end
end
if #changed > 0 and ARGV[3] == '1' then
  redis.call('HSET', KEYS[2], unpack(fields))
  count_change(KEYS[3], KEYS[2], #changed)
  ids_change(KEYS[3], KEYS[2], changed, 1)
  log_event(KEYS[4], ARGV[1], 'hold', table.concat(changed), ARGV[2], '')
elseif #changed > 0 then
  redis.call('HDEL', KEYS[2], unpack(changed))
  count_change(KEYS[3], KEYS[2], -#changed)
  ids_change(KEYS[3], KEYS[2], changed, -1)
  log_event(KEYS[4], ARGV[1], 'release', table.concat(changed), ARGV[2], '')
end
return table.concat(outcome)
