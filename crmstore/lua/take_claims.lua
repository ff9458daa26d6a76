-- take_claims sets e-mail claims of one bucket where there are none, each on its own. A field stands in it once.
-- KEYS: 1.. parts of the bucket
-- Types: hash..
-- ARGV: 1 how many claims are in each part (2 bytes each), 2 fields (16 bytes each), 3 claims to set (likewise)
-- Returns: a character per claim: 1 set, 0 another claim was there
-- Cost: one HSETNX per claim
local none = string.rep('\0', 16)
local outcome, from = {}, 1
for k, key in ipairs(KEYS) do
  local low, high = string.byte(ARGV[1], 2 * k - 1, 2 * k)
  for _ = 1, low + 256 * high do
    local field, new = string.sub(ARGV[2], from, from + 15), string.sub(ARGV[3], from, from + 15)
    local done = redis.call('HSETNX', key, field, new)
    if done == 0 and string.sub(redis.call('HGET', key, field) .. none, 1, 16) == none then
      redis.call('HSET', key, field, new) -- what is there is damaged, and reads as no claim
      done = 1
    end
    outcome[#outcome + 1] = done == 1 and '1' or '0'
    from = from + 16
  end
end
return table.concat(outcome)
