-- take_ids takes a block of new record ids, above every id that was given by hand.
-- KEYS: 1 highest id so far (a decimal string)
-- Types: string
-- ARGV: 1 how many, 2 highest id given by hand in this batch (0: none)
-- Returns: the last id of the block, as a decimal string
-- Cost: constant
-- Ids go up to 2^63-1, beyond what a Lua number holds exactly, so they are compared as text.
local highest = redis.call('GET', KEYS[1]) or '0'
local given, most = ARGV[2], '9223372036854775807'

-- past_end(text, n) says whether the number and n more would be above the highest id. It adds from the last nine digits.
local function past_end(text, n)
  local low = tonumber(string.sub(text, -9)) + n
  local high = (tonumber(string.sub(text, 1, -10)) or 0) + math.floor(low / 1e9)
  return high > 9223372036 or (high == 9223372036 and low % 1e9 > 854775807)
end

if not string.match(highest, '^%d+$') then
  return redis.error_reply('DAMAGED ' .. KEYS[1] .. ' holds no number')
end
local above = #given > #highest or (#given == #highest and given > highest)
if past_end(above and given or highest, tonumber(ARGV[1])) then
  return redis.error_reply('DAMAGED ' .. KEYS[1] .. ' would go past the highest id, ' .. most)
end
if above then
  redis.call('SET', KEYS[1], given)
end
redis.call('INCRBY', KEYS[1], ARGV[1])
return redis.call('GET', KEYS[1])
