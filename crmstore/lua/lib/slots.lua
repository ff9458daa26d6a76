-- take_slots(free, ids, n) is n slots for new records: those on the list of free slots first, then new ones at the end
-- of the ids column. A slot on the list that is in use all the same (doctor reports that) is dropped from it, not given.
local function take_slots(free, ids, n)
  local slots, given = {}, {}
  local size = redis.call('STRLEN', ids)
  local listed = redis.call('LRANGE', free, 0, n - 1)
  if #listed > 0 then
    redis.call('LTRIM', free, #listed, -1)
  end
  for _, text in ipairs(listed) do
    local slot = tonumber(text)
    if slot and not given[slot] and slot >= 0 and 8 * slot + 8 <= size
        and redis.call('GETRANGE', ids, 8 * slot, 8 * slot + 7) == live_cell then
      given[slot] = true
      slots[#slots + 1] = slot
    end
  end
  local next_slot = size / 8
  for i = #slots + 1, n do
    slots[i] = next_slot
    next_slot = next_slot + 1
  end
  return slots
end

-- set_each(key, slots, cells) sets the column's cell of each slot, those of neighbours in one command.
local function set_each(key, slots, cells)
  local from = 1
  for i, slot in ipairs(slots) do
    if slots[i + 1] ~= slot + 1 then
      redis.call('SETRANGE', key, 8 * slots[from], string.sub(cells, 8 * from - 7, 8 * i))
      from = i + 1
    end
  end
end

-- clear_slots(slots, keys, columns, lists) empties the slots' cells and bits: keys holds so many columns, then so many
-- lists. What a column or list does not reach is empty already, and it is not made longer.
local function clear_slots(slots, keys, columns, lists)
  for k = 1, columns + lists do
    local size = redis.call('STRLEN', keys[k])
    if k > columns then
      size = 8 * size -- bits
    end
    local kept = {}
    for _, slot in ipairs(slots) do
      if k > columns and slot < size then
        redis.call('SETBIT', keys[k], slot, 0)
      elseif k <= columns and 8 * slot < size then
        kept[#kept + 1] = slot
      end
    end
    set_cells(keys[k], kept, live_cell)
  end
end
