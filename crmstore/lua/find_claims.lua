-- find_claims reads e-mail claims of one bucket.
-- KEYS: 1.. parts of the bucket
-- Types: hash..
-- ARGV: 1 how many fields are asked of each part (2 bytes each), 2 fields (16 bytes each)
-- Returns: 16 bytes per field: the claim, or zeros; a damaged claim is cut or filled up
-- Cost: one HMGET per part
local none = string.rep('\0', 16)
local claims, from = {}, 1
for k, key in ipairs(KEYS) do
  local low, high = string.byte(ARGV[1], 2 * k - 1, 2 * k)
  local fields = {}
  for i = 1, low + 256 * high do
    fields[i] = string.sub(ARGV[2], from, from + 15)
    from = from + 16
  end
  local there = redis.call('HMGET', key, unpack(fields))
  for i = 1, #fields do
    claims[#claims + 1] = string.sub((there[i] or '') .. none, 1, 16)
  end
end
return table.concat(claims)
