-- pace asks when some records may be deleted under several limits, and charges all of them or none.
-- A limit's field is the instant (ms) at which all that was let through under it is paid for: who comes before that
-- gets the place behind it, and goes when it is its turn.
-- KEYS: 1 pace
-- Types: hash
-- ARGV: 1 now (ms), 2 records, 3 longest wait (ms), 4 slack (ms), 5 seconds to keep it, 6.. pairs of a field and its records per second
-- Returns: 0 or more = go after so many ms; below 0 = nothing was charged, ask again after so many ms
-- Cost: limits
local now, longest = tonumber(ARGV[1]), tonumber(ARGV[3])
local wait, paid = 0, {}
for i = 6, #ARGV, 2 do
  local at = math.max(tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or 0), now - tonumber(ARGV[4]))
  if at > now + longest + 1000 then -- more debt than is ever given: a clock is wrong, and nobody shall wait for it
    at = now + 1000
  end
  wait = math.max(wait, at - now)
  paid[#paid + 1] = ARGV[i]
  paid[#paid + 1] = string.format('%.3f', at + tonumber(ARGV[2]) * 1000 / tonumber(ARGV[i + 1]))
end
if wait > longest then
  return -math.ceil(wait - longest)
end
redis.call('HSET', KEYS[1], unpack(paid))
redis.call('EXPIRE', KEYS[1], ARGV[5])
return math.ceil(wait)
