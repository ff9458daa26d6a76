-- associate_other writes or takes out the second halves of associations. Modes: add (the record is live); complete (it
-- may be in the bin); remove.
-- KEYS: 1 records, 2 associations, 3 log
-- Types: hash hash log
-- ARGV: 1 mode, 2 most entries, 3 name of the other object type, 4 pairs, 5 wall (ms), 6 facts (empty: no audit event)
-- Returns: a character per pair: 1 as it shall be, 3 the record is in the bin, 4 it is not there, 5 it has the most entries
-- Cost: the fields and records, once each; a binary search per pair; one XADD
-- Uses: associations log counts
local mode, outcome, changed = ARGV[1], {}, {}
edit_entries(KEYS[2], ARGV[3], ARGV[4], function(i, own, mark, count)
  outcome[i] = '1'
  if (mark ~= '') ~= (mode == 'remove') then
    return nil
  end
  if mode ~= 'remove' then
    local state = state_of(KEYS[1], own)
    if state == '3' and mode == 'complete' then
      state = '1'
    end
    if state == '1' and count >= tonumber(ARGV[2]) then
      state = '5'
    end
    outcome[i] = state
    if state ~= '1' then
      return nil
    end
  end
  changed[#changed + 1] = string.sub(ARGV[4], 16 * i - 15, 16 * i)
  return mode == 'remove' and '' or settled_mark
end)
log_pairs(KEYS[3], ARGV[5], ARGV[6], mode == 'remove' and 'dissociate' or 'associate', ARGV[3], changed)
return table.concat(outcome)
