-- archive puts records of one partition into the bin: a new header, the archived-at cell and one finished enrollment
-- for each, and one audit event for all that have the same facts. Property bytes do not travel.
-- KEYS: 1 records, 2 archived-at column, 3 counters, 4 log, 5 enrollments, 6 run, 7 holds
-- Types: hash string hash log hash hash hash
-- ARGV: 1 wall (ms), 2 archived-at cell, 3 enrollment (empty: none), 4 fence (empty: none), 5 from where (fact of the events alone; may be empty), 6 targets: id, version and number of the facts (2 bytes) each, 7.. facts (when, who, why)
-- Returns: a character per target: 1 archived, 2 enrolled by this very run before, 3 in the bin already, 4 another version, 5 not there, 6 on legal hold; or -1: a higher fence was seen, or the run has no matches here, -2: enrollments were lost
-- Cost: the records, twice; one XADD per facts; one SETRANGE per run of neighbouring slots
-- Uses: record log hold counts fence
local ids = {}
for i = 1, #ARGV[6], 18 do
  ids[#ids + 1] = string.sub(ARGV[6], i, i + 7)
end
local records = redis.call('HMGET', KEYS[1], unpack(ids))
local enrolled = {}
if ARGV[3] ~= '' then
  enrolled = redis.call('HMGET', KEYS[5], unpack(ids))
end
local held, lost = held_among(KEYS[1], KEYS[7], KEYS[3], ids)
local outcome, fields, slots, enrollments, added, done = {}, {}, {}, {}, {}, {}
local heads, logged, order = {}, {}, {} -- what stands between slot and properties, and whose ids, by number of the facts
for i, id in ipairs(ids) do
  local at, old = 18 * (i - 1), records[i]
  if not old then
    outcome[i] = '5'
  elseif done[id] or (enrolled[i] and enrolled[i] == ARGV[3]) then
    outcome[i] = '2'
  elseif string.sub(old, 13, 20) ~= live_cell then
    outcome[i] = '3'
  elseif held[i] then
    outcome[i] = '6'
  elseif string.sub(old, 1, 8) ~= string.sub(ARGV[6], at + 9, at + 16) then
    outcome[i] = '4'
  else
    outcome[i] = '1'
    done[id] = true
    local low, high = string.byte(ARGV[6], at + 17, at + 18)
    local number = low + 256 * high
    local facts = ARGV[7 + number]
    if not heads[number] then
      heads[number] = ARGV[2] .. string.char(#facts % 256, math.floor(#facts / 256)) .. facts
      logged[number] = {}
      order[#order + 1] = number
    end
    fields[#fields + 1] = id
    fields[#fields + 1] = with_next_version(old, 12) .. heads[number] .. without_facts(old)
    slots[#slots + 1] = slot_of(old)
    table.insert(logged[number], id)
    enrollments[#enrollments + 1] = id
    enrollments[#enrollments + 1] = ARGV[3]
    if not enrolled[i] then
      added[#added + 1] = id
    end
  end
end
-- The enrollments of a workflow are counted; what a run by hand keeps under its own name is not.
local name = counted_name(KEYS[5])
local counted = ARGV[3] ~= '' and string.sub(name, 5) ~= string.sub(counted_name(KEYS[6]), 5)
local wrong, counts = wrong_counts(KEYS[3], 'live', 'archived', name, 'sum:' .. name)
local refused = lost or too_many(#fields) or wrong or wrong_slots(KEYS[2], slots)
if refused then
  return refused
end
local size = counted and redis.call('HLEN', KEYS[5])
if counted and (counts[3] and tonumber(counts[3]) ~= size or not counts[3] and size == 0 and (counts[4] or '0') ~= '0') then
  return -2
end
-- Without matches the store went back to before they were saved: it does not know the run, or will evaluate it again.
if ARGV[4] ~= '' and redis.call('HEXISTS', KEYS[6], 'ids') == 0 then
  return -1
end
if fenced(KEYS[6], ARGV[4]) then
  return -1
end
if #fields > 0 then
  redis.call('HSET', KEYS[1], unpack(fields))
  set_cells(KEYS[2], slots, ARGV[2])
  for _, number in ipairs(order) do
    log_event(KEYS[4], ARGV[1], 'delete', table.concat(logged[number]), ARGV[7 + number] .. ARGV[5], '')
  end
  local now = {'live', string.format('%.0f', (counts[1] or 0) - #slots), 'archived', string.format('%.0f', (counts[2] or 0) + #slots)}
  if ARGV[3] ~= '' then
    redis.call('HSET', KEYS[5], unpack(enrollments))
  end
  if counted and #added > 0 then
    now[5], now[6] = name, string.format('%.0f', size + #added)
    if counts[4] or size == 0 then
      now[7], now[8] = 'sum:' .. name, string.format('%.0f', (counts[4] or 0) + sum_of_ids(added))
    end
  end
  redis.call('HSET', KEYS[3], unpack(now))
end
return table.concat(outcome)
