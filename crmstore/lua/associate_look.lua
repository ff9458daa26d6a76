-- associate_look tells how halves of associations stand.
-- KEYS: 1 records, 2 associations
-- Types: hash hash
-- ARGV: 1 name of the other object type, 2 pairs
-- Returns: two bytes per pair: the record (1 live, 3 in the bin, 4 not there), and the mark of its entry (255: there is none)
-- Cost: the fields and records, once each; a binary search per pair
-- Uses: associations log counts
local told = {}
edit_entries(KEYS[2], ARGV[1], ARGV[2], function(i, own, mark)
  told[i] = state_of(KEYS[1], own) .. (mark == '' and '\255' or mark)
  return nil
end)
return table.concat(told)
