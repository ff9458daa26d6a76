-- update replaces records of one partition that are still at the version that was read, with their changed cells and
-- one audit event for each, which holds what changed.
-- KEYS: 1 records, 2 log, 3.. columns
-- Types: hash log string..
-- ARGV: 1 wall (ms), 2 facts, 3.. for each record: id and version read (16 bytes), new bytes, changed cells (2 bytes number of the column in KEYS, from 3, then the cell), values before and after (see audit_changes.go)
-- Returns: a character per record: 1 written, 0 not there at that version
-- Cost: the records, twice; one XADD per record; one SETRANGE per changed cell
-- Uses: record log counts
local ids = {}
for i = 3, #ARGV, 4 do
  ids[#ids + 1] = string.sub(ARGV[i], 1, 8)
end
local old = redis.call('HMGET', KEYS[1], unpack(ids))
local fields, outcome, offsets = {}, {}, {}
for i, id in ipairs(ids) do
  local at = 4 * i - 1
  outcome[i] = '0'
  if old[i] and string.sub(old[i], 1, 8) == string.sub(ARGV[at], 9, 16) then
    outcome[i] = '1'
    fields[#fields + 1] = id
    fields[#fields + 1] = ARGV[at + 1]
    offsets[i] = 8 * slot_of(old[i])
    if offsets[i] + 8 > longest_text then
      return redis.error_reply('DAMAGED ' .. KEYS[1] .. ' holds a record with a slot out of reach')
    end
  end
end
local refused = too_many(#fields)
if refused then
  return refused
end
for i, id in ipairs(ids) do
  local cells = ARGV[4 * i + 1]
  for c = 1, offsets[i] and #cells or 0, 10 do
    local low, high = string.byte(cells, c, c + 1)
    redis.call('SETRANGE', KEYS[low + 256 * high], offsets[i], string.sub(cells, c + 2, c + 9))
  end
  if offsets[i] then
    log_event(KEYS[2], ARGV[1], 'update', id, ARGV[2], '', ARGV[4 * i + 2])
  end
end
if #fields > 0 then
  redis.call('HSET', KEYS[1], unpack(fields))
end
return table.concat(outcome)
