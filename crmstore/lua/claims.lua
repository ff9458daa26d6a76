-- claims compares and sets e-mail claims of one bucket, each on its own. A field stands in it once.
-- KEYS: 1.. parts of the bucket
-- Types: hash..
-- ARGV: 1 how many claims are in each part (2 bytes each), 2 fields (16 bytes each), 3 claims that must be there (16 bytes each; all zero: none), 4 claims to set (likewise)
-- Returns: a character per claim: 1 set, 0 another claim was there
-- Cost: one HMGET, one HSET and one HDEL per part
local none = string.rep('\0', 16)
local outcome, from = {}, 1
for k = 1, #KEYS do
  local low, high = string.byte(ARGV[1], 2 * k - 1, 2 * k)
  local refused = too_many(2 * (low + 256 * high))
  if refused then
    return refused
  end
end
for k, key in ipairs(KEYS) do
  local low, high = string.byte(ARGV[1], 2 * k - 1, 2 * k)
  local fields = {}
  for i = 1, low + 256 * high do
    fields[i] = string.sub(ARGV[2], from + 16 * i - 16, from + 16 * i - 1)
  end
  local there = redis.call('HMGET', key, unpack(fields))
  local set, gone = {}, {}
  for i, field in ipairs(fields) do
    local old = string.sub((there[i] or '') .. none, 1, 16) -- a claim of another size is damaged, and may be replaced
    if old ~= string.sub(ARGV[3], from, from + 15) then
      outcome[#outcome + 1] = '0'
    else
      outcome[#outcome + 1] = '1'
      local new = string.sub(ARGV[4], from, from + 15)
      if new ~= none then
        set[#set + 1] = field
        set[#set + 1] = new
      elseif there[i] then
        gone[#gone + 1] = field
      end
    end
    from = from + 16
  end
  if #set > 0 then
    redis.call('HSET', key, unpack(set))
  end
  if #gone > 0 then
    redis.call('HDEL', key, unpack(gone))
  end
end
return table.concat(outcome)
