-- claims compares and sets e-mail claims of one bucket, each on its own. A field stands in it once.
-- KEYS: 1 claims
-- ARGV: 1 how many, 2 claims to set (16 bytes each; all zero: none), 3 claims that must be there (likewise), 4 fields (16 bytes each)
-- Returns: a character per claim: 1 set, 0 another claim was there
-- Cost: one HMGET, one HSET and one HDEL of all
local none = string.rep('\0', 16)
local fields = {}
for i = 1, 16 * tonumber(ARGV[1]), 16 do
  fields[#fields + 1] = string.sub(ARGV[4], i, i + 15)
end
local there = redis.call('HMGET', KEYS[1], unpack(fields))
local outcome, set, gone = {}, {}, {}
for i, field in ipairs(fields) do
  local at = 16 * i - 15
  local new = string.sub(ARGV[2], at, at + 15)
  local old = string.sub((there[i] or '') .. none, 1, 16) -- a claim of another size is damaged, and may be replaced
  if old ~= string.sub(ARGV[3], at, at + 15) then
    outcome[i] = '0'
  else
    outcome[i] = '1'
    if new ~= none then
      set[#set + 1] = field
      set[#set + 1] = new
    elseif there[i] then
      gone[#gone + 1] = field
    end
  end
end
if #set > 0 then
  redis.call('HSET', KEYS[1], unpack(set))
end
if #gone > 0 then
  redis.call('HDEL', KEYS[1], unpack(gone))
end
return table.concat(outcome)
