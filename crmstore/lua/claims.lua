-- claims compares and sets e-mail claims of one bucket, each on its own.
-- KEYS: 1 claims
-- ARGV: 1.. for each: field, claim that must be there (empty: none), claim to set (empty: none)
-- Returns: a character per claim: 1 set, 0 another claim was there
-- Cost: one HGET and one HSET or HDEL for each
local outcome = {}
for i = 1, #ARGV, 3 do
  local there = redis.call('HGET', KEYS[1], ARGV[i]) or ''
  if there ~= ARGV[i + 1] then
    outcome[#outcome + 1] = '0'
  else
    outcome[#outcome + 1] = '1'
    if ARGV[i + 2] ~= '' then
      redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
    elseif there ~= '' then
      redis.call('HDEL', KEYS[1], ARGV[i])
    end
  end
end
return table.concat(outcome)
