-- associate_end settles the first halves of associations, or takes them out, where nobody marked them anew meanwhile.
-- KEYS: 1 associations, 2 log
-- Types: hash log
-- ARGV: 1 mark that must be there, 2 settle or drop, 3 name of the other object type, 4 pairs, 5 wall (ms), 6 facts (empty: no audit event)
-- Returns: a character per pair: 1 done, 0 another mark, or none, is there
-- Cost: the fields, once; a binary search per pair; one XADD
-- Uses: associations log counts
local outcome, pairs = {}, {}
edit_entries(KEYS[1], ARGV[3], ARGV[4], function(i, _, mark)
  pairs[i] = string.sub(ARGV[4], 16 * i - 15, 16 * i)
  outcome[i] = mark == ARGV[1] and '1' or '0'
  if mark == ARGV[1] then
    return ARGV[2] == 'drop' and '' or settled_mark
  end
end)
log_pairs(KEYS[2], ARGV[5], ARGV[6], ARGV[2] == 'drop' and 'dissociate' or 'associate', ARGV[3], pairs)
return table.concat(outcome)
