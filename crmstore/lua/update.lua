-- update replaces records of one partition that are still at the version that was read, with their changed cells and
-- one audit event for each, which holds what changed.
-- KEYS: 1 records, 2 log, 3.. columns
-- ARGV: 1 wall (ms), 2 facts, 3.. for each record: id and version read (16 bytes), new bytes, changed cells (2 bytes number of the column in KEYS, from 3, then the cell), values before and after (see audit_changes.go)
-- Returns: a character per record: 1 written, 0 not there at that version
-- Cost: the records, twice; one XADD per record; one SETRANGE per changed cell
-- Uses: record log counts
local ids = {}
for i = 3, #ARGV, 4 do
  ids[#ids + 1] = string.sub(ARGV[i], 1, 8)
end
local old = redis.call('HMGET', KEYS[1], unpack(ids))
local fields, outcome = {}, {}
for i, id in ipairs(ids) do
  local at = 4 * i - 1
  outcome[i] = '0'
  if old[i] and string.sub(old[i], 1, 8) == string.sub(ARGV[at], 9, 16) then
    outcome[i] = '1'
    fields[#fields + 1] = id
    fields[#fields + 1] = ARGV[at + 1]
    local offset, cells = 8 * slot_of(old[i]), ARGV[at + 2]
    for c = 1, #cells, 10 do
      local low, high = string.byte(cells, c, c + 1)
      redis.call('SETRANGE', KEYS[low + 256 * high], offset, string.sub(cells, c + 2, c + 9))
    end
    log_event(KEYS[2], ARGV[1], 'update', id, ARGV[2], '', ARGV[at + 3])
  end
end
if #fields > 0 then
  redis.call('HSET', KEYS[1], unpack(fields))
end
return table.concat(outcome)
