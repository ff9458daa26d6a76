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

-- wrong_slots(key, slots) is the refusal when a column that has a cell for every slot (ids, archived-at) has none for one
-- of these: the record or the column is damaged, and a cell written far behind the end would take memory for all before it.
local function wrong_slots(key, slots)
  local size = redis.call('STRLEN', key)
  for _, slot in ipairs(slots) do
    if 8 * slot + 8 > size then
      return redis.error_reply('DAMAGED ' .. key .. ' has no slot ' .. slot)
    end
  end
  return nil
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
