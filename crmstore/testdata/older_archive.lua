-- The archive script of an older version, with the libraries that it used: it wrote records before their event.
-- What scripts know of a record's bytes (see codec.go): version [0:8), slot [8:12), archived-at [12:20),
-- length of the deletion facts [20:22), facts, properties. All little-endian.
local live_cell = '\0\0\0\0\0\0\0\0'

-- slot_of(record) is the record's slot as a number.
local function slot_of(record)
  local a, b, c, d = string.byte(record, 9, 12)
  return a + b * 256 + c * 65536 + d * 16777216
end

-- slot_bytes(slot) is a slot as it stands in a record.
local function slot_bytes(slot)
  return string.char(slot % 256, math.floor(slot / 256) % 256, math.floor(slot / 65536) % 256, math.floor(slot / 16777216))
end

-- with_next_version(record, to) is the record's bytes up to the one at to (-1: all), with a version that is one higher.
local function with_next_version(record, to)
  local low = string.byte(record, 1)
  if low < 255 then
    return string.char(low + 1) .. string.sub(record, 2, to)
  end
  local bytes = {string.byte(record, 1, 8)}
  for i = 1, 8 do
    if bytes[i] < 255 then
      bytes[i] = bytes[i] + 1
      break
    end
    bytes[i] = 0
  end
  return string.char(unpack(bytes)) .. string.sub(record, 9, to)
end

-- set_cells(key, slots, cell) sets the column's cells of all slots, those of neighbours in one command.
local function set_cells(key, slots, cell)
  local from = 1
  for i, slot in ipairs(slots) do
    if slots[i + 1] ~= slot + 1 then
      redis.call('SETRANGE', key, 8 * slots[from], string.rep(cell, i - from + 1))
      from = i + 1
    end
  end
end

-- without_facts(record) is all that follows the deletion facts: the properties.
local function without_facts(record)
  local a, b = string.byte(record, 21, 22)
  return string.sub(record, 23 + a + b * 256)
end
-- log_event(key, wall, op, ids, facts, detail, changes) appends one audit event to the stream at key.
-- Stream ids must grow, so the id starts from wall (the sender's clock, in ms) and goes past the newest id if need be.
-- ids: 8 bytes per record; facts: when, who and why; empty texts are left out. changes (may be nil) are the values
-- before and after of one record, which go into an event of that record alone. Fields are short: they are many.
local newest_event = {}
local function log_event(key, wall, op, ids, facts, detail, changes)
  local at = newest_event[key]
  if not at then
    local ms, seq = tonumber(wall), -1
    local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)
    if last[1] then
      local last_ms, last_seq = string.match(last[1][1], '^(%d+)%-(%d+)$')
      if tonumber(last_ms) >= ms then
        ms, seq = tonumber(last_ms), tonumber(last_seq)
      end
    end
    at = {ms = string.format('%.0f-', ms), seq = seq}
    newest_event[key] = at
  end
  at.seq = at.seq + 1
  local id = at.ms .. at.seq
  if changes and changes ~= '' then
    redis.call('XADD', key, id, 'o', op, 'f', facts, 'i', ids, 'c', changes)
  elseif detail ~= '' and ids ~= '' then
    redis.call('XADD', key, id, 'o', op, 'f', facts, 'i', ids, 'd', detail)
  elseif detail ~= '' then
    redis.call('XADD', key, id, 'o', op, 'f', facts, 'd', detail)
  elseif ids ~= '' then
    redis.call('XADD', key, id, 'o', op, 'f', facts, 'i', ids)
  else
    redis.call('XADD', key, id, 'o', op, 'f', facts)
  end
end
-- next_fence(key, floor) takes the next fencing number of a run from the counter at key: above all numbers that were
-- taken before, and above floor, which is the run's own (a new run has one without asking the counter).
local function next_fence(key, floor)
  local last = math.max(tonumber(redis.call('GET', key) or '0'), tonumber(floor))
  redis.call('SET', key, string.format('%.0f', last + 1))
  return last + 1
end
-- fenced(key, fence) reports whether a partition's run hash has seen a higher fence; else it keeps this one. An empty
-- fence is never refused.
local function fenced(key, fence)
  if fence == '' then
    return false
  end
  local seen, mine = tonumber(redis.call('HGET', key, 'f') or '0'), tonumber(fence)
  if seen < mine then
    redis.call('HSET', key, 'f', fence)
  end
  return seen > mine
end
-- archive puts records of one partition into the bin: a new header, the archived-at cell and one finished enrollment
-- for each, and one audit event for all that have the same facts. Property bytes do not travel.
-- KEYS: 1 records, 2 archived-at column, 3 counters, 4 log, 5 enrollments, 6 run
-- ARGV: 1 wall (ms), 2 archived-at cell, 3 enrollment (empty: none), 4 fence (empty: none), 5 targets: id, version and number of the facts (2 bytes) each, 6.. facts (when, who, why)
-- Returns: a character per target: 1 archived, 2 enrolled by this very run before, 3 in the bin already, 4 another version, 5 not there; or -1: a higher fence was seen, or the run has no matches here
-- Cost: the records, twice; one XADD per facts; one SETRANGE per run of neighbouring slots
-- Uses: record log fence
-- Without matches the store went back to before they were saved: it does not know the run, or will evaluate it again.
if ARGV[4] ~= '' and redis.call('HEXISTS', KEYS[6], 'ids') == 0 then
  return -1
end
if fenced(KEYS[6], ARGV[4]) then
  return -1
end
local ids = {}
for i = 1, #ARGV[5], 18 do
  ids[#ids + 1] = string.sub(ARGV[5], i, i + 7)
end
local records = redis.call('HMGET', KEYS[1], unpack(ids))
local enrolled = {}
if ARGV[3] ~= '' then
  enrolled = redis.call('HMGET', KEYS[5], unpack(ids))
end
local outcome, fields, slots, enrollments, done = {}, {}, {}, {}, {}
local heads, logged, order = {}, {}, {} -- what stands between slot and properties, and whose ids, by number of the facts
for i, id in ipairs(ids) do
  local at, old = 18 * (i - 1), records[i]
  if not old then
    outcome[i] = '5'
  elseif done[id] or (enrolled[i] and enrolled[i] == ARGV[3]) then
    outcome[i] = '2'
  elseif string.sub(old, 13, 20) ~= live_cell then
    outcome[i] = '3'
  elseif string.sub(old, 1, 8) ~= string.sub(ARGV[5], at + 9, at + 16) then
    outcome[i] = '4'
  else
    outcome[i] = '1'
    done[id] = true
    local low, high = string.byte(ARGV[5], at + 17, at + 18)
    local number = low + 256 * high
    local facts = ARGV[6 + number]
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
  end
end
if #fields > 0 then
  redis.call('HSET', KEYS[1], unpack(fields))
  set_cells(KEYS[2], slots, ARGV[2])
  for _, number in ipairs(order) do
    log_event(KEYS[4], ARGV[1], 'delete', table.concat(logged[number]), ARGV[6 + number], '')
  end
  redis.call('HINCRBY', KEYS[3], 'live', -#fields / 2)
  redis.call('HINCRBY', KEYS[3], 'archived', #fields / 2)
  if ARGV[3] ~= '' then
    redis.call('HSET', KEYS[5], unpack(enrollments))
  end
end
return table.concat(outcome)
