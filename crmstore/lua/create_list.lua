-- create_list makes a list, giving it the next number of its object type. Numbers are never given out twice.
-- KEYS: 1 lists (the field with the empty name counts them), 2 account log
-- Types: hash log
-- ARGV: 1 name, 2 wall (ms), 3 facts, 4 detail, 5 expression of an active list ('' = a static list)
-- Returns: the list's number, or 0 if the name is taken
-- Cost: constant
-- Uses: log counts
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then
  return 0
end
local number = redis.call('HINCRBY', KEYS[1], '', 1)
local value = tostring(number)
if ARGV[5] ~= '' then
  value = value .. ' ' .. ARGV[5]
end
redis.call('HSET', KEYS[1], ARGV[1], value)
log_event(KEYS[2], ARGV[2], 'create-list', '', ARGV[3], ARGV[4])
return number
