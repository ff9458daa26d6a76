-- enroll_existing enrolls records that are there and have no enrollment in the workflow yet.
-- KEYS: 1 enrollments, 2 records, 3 counters
-- Types: hash hash hash
-- ARGV: 1 enrollment, 2 ids (8 bytes each)
-- Returns: how many were enrolled
-- Cost: one HEXISTS and one HSETNX for each
-- Uses: counts
local refused = wrong_counts(KEYS[3], counted_name(KEYS[1]), 'sum:' .. counted_name(KEYS[1]))
if refused then
  return refused
end
local added = {}
for i = 1, #ARGV[2], 8 do
  local id = string.sub(ARGV[2], i, i + 7)
  if redis.call('HEXISTS', KEYS[2], id) == 1 and redis.call('HSETNX', KEYS[1], id, ARGV[1]) == 1 then
    added[#added + 1] = id
  end
end
count_change(KEYS[3], KEYS[1], #added)
ids_change(KEYS[3], KEYS[1], added, 1)
return #added
