-- find_slots(free, ids, n) is n slots for new records: those on the list of free slots first, then new ones at the end
-- of the ids column; the first slot behind all that are in use then; and how many entries of the list are to go. A slot
-- on the list that is in use all the same (doctor reports that) is dropped from it, not given.
local function find_slots(free, ids, n)
  local slots, given = {}, {}
  local size = redis.call('STRLEN', ids)
  local listed = redis.call('LRANGE', free, 0, n - 1)
  for _, text in ipairs(listed) do
    local slot = tonumber(text)
    if slot and slot % 1 == 0 and not given[slot] and slot >= 0 and 8 * slot + 8 <= size
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
  return slots, next_slot, #listed
end

-- runs_of(slots) is the stretches of neighbouring slots, so that they are looked for once and not for each column:
-- the first slot, and from which place in slots to which.
local function runs_of(slots)
  local runs, from = {}, 1
  for i, slot in ipairs(slots) do
    if slots[i + 1] ~= slot + 1 then
      runs[#runs + 1] = {slots[from], from, i}
      from = i + 1
    end
  end
  return runs
end

-- set_runs(key, runs, cells) sets the column's cells of all slots in runs, one command for each run.
local function set_runs(key, runs, cells)
  if #runs == 1 then
    redis.call('SETRANGE', key, 8 * runs[1][1], cells)
    return
  end
  for _, run in ipairs(runs) do
    redis.call('SETRANGE', key, 8 * run[1], string.sub(cells, 8 * run[2] - 7, 8 * run[3]))
  end
end

-- clear_slots(slots, keys, columns, lists, counters) empties the slots' cells and bits: keys holds so many columns, then so
-- many lists. What a column or list does not reach is empty already, and it is not made longer.
local function clear_slots(slots, keys, columns, lists, counters)
  for k = 1, columns + lists do
    local size = redis.call('STRLEN', keys[k])
    if k > columns then
      size = 8 * size -- bits
    end
    local kept, members = {}, {}
    for _, slot in ipairs(slots) do
      if k > columns and slot < size then
        if redis.call('SETBIT', keys[k], slot, 0) == 1 then
          members[#members + 1] = slot
        end
      elseif k <= columns and 8 * slot < size then
        kept[#kept + 1] = slot
      end
    end
    set_cells(keys[k], kept, live_cell)
    if k > columns then
      count_removed(counters, keys[k], #members)
      if #members > 0 then
        sum_change(counters, keys[k], members, -1)
      end
    end
  end
end
