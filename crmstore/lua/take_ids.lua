-- take_ids takes a block of new record ids, above every id that was given by hand.
-- KEYS: 1 highest id so far (a decimal string)
-- ARGV: 1 how many, 2 highest id given by hand in this batch (0: none)
-- Returns: the last id of the block, as a decimal string
-- Cost: constant
-- Ids go up to 2^63-1, beyond what a Lua number holds exactly, so they are compared as text.
local highest = redis.call('GET', KEYS[1]) or '0'
local given = ARGV[2]
if #given > #highest or (#given == #highest and given > highest) then
  redis.call('SET', KEYS[1], given)
end
redis.call('INCRBY', KEYS[1], ARGV[1])
return redis.call('GET', KEYS[1])
