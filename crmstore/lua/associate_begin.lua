-- associate_begin marks the first halves of associations that are about to be added or removed. Modes: add; remove;
-- dissolve (remove, also when only the second half is there); again (bring the second half in line with the first);
-- complete (again, but a first half that is not there is added).
-- KEYS: 1 records, 2 associations
-- Types: hash hash
-- ARGV: 1 mode, 2 adding mark, 3 removing mark, 4 most entries, 5 name of the other object type, 6 pairs
-- Returns: a character per pair: 0 nothing to do, 1 being added, 2 being removed, 3 the record is in the bin, 4 it is not there, 5 it has the most entries
-- Cost: the fields and records, once each; a binary search per pair
-- Uses: associations log counts
local mode, outcome = ARGV[1], {}

-- missing(own, count) is the outcome of adding an entry that is not there.
local function missing(own, count)
  local state = state_of(KEYS[1], own)
  if state == '3' and mode ~= 'add' then
    state = '1' -- what is brought in line may rest in the bin
  end
  if state == '1' and count >= tonumber(ARGV[4]) then
    state = '5'
  end
  return state
end

edit_entries(KEYS[2], ARGV[5], ARGV[6], function(i, own, mark, count)
  local there = mark ~= ''
  local removing = there and string.byte(mark) % 4 == 2
  local out
  if mode == 'remove' then
    out = there and '2' or '0'
  elseif mode == 'dissolve' then
    out = (there or state_of(KEYS[1], own) ~= '4') and '2' or '4'
  elseif mode == 'add' then
    out = state_of(KEYS[1], own)
    if out == '1' and mark == settled_mark then
      out = '0'
    elseif not there then
      out = missing(own, count)
    end
  elseif not there and mode == 'complete' then
    out = missing(own, count)
  elseif not there then
    out = state_of(KEYS[1], own) == '4' and '4' or '2'
  else
    out = (removing or state_of(KEYS[1], own) == '4') and '2' or '1'
  end
  outcome[i] = out
  if out == '1' then
    return ARGV[2]
  elseif out == '2' then
    return ARGV[3]
  end
end)
return table.concat(outcome)
