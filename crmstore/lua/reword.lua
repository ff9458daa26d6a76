-- reword changes why records of one partition were deleted: other facts of the same size take the place of those that
-- were read. Nothing else of a record changes, its version neither.
-- KEYS: 1 records, 2 holds, 3 counters
-- Types: hash hash hash
-- ARGV: 1 ids (8 bytes each), 2.. for each record the facts that were read, then those to write
-- Returns: a character per record: 1 written, 0 not there with those facts (any more), 2 on legal hold, so that its bytes stay
-- Cost: the records, twice
-- Uses: hold counts
local ids = {}
for i = 1, #ARGV[1], 8 do
  ids[#ids + 1] = string.sub(ARGV[1], i, i + 7)
end
local records = redis.call('HMGET', KEYS[1], unpack(ids))
local held, lost = held_among(KEYS[1], KEYS[2], KEYS[3], ids)
local outcome, fields = {}, {}
for i, id in ipairs(ids) do
  local old, was, is = records[i], ARGV[2 * i], ARGV[2 * i + 1]
  outcome[i] = '0'
  if old and #was == #is and string.byte(old, 21) + 256 * string.byte(old, 22) == #was and string.sub(old, 23, 22 + #was) == was then
    outcome[i] = held[i] and '2' or '1'
  end
  if outcome[i] == '1' then
    fields[#fields + 1] = id
    fields[#fields + 1] = string.sub(old, 1, 22) .. is .. string.sub(old, 23 + #was)
  end
end
local refused = lost or too_many(#fields)
if refused then
  return refused
end
if #fields > 0 then
  redis.call('HSET', KEYS[1], unpack(fields))
end
return table.concat(outcome)
