-- held_among(key, counters, ids) says for each id whether its record is on legal hold, and is a refusal when the partition
-- has lost holds: nobody knows then who must stay. Without holds it costs one HLEN and one HGET.
local function held_among(key, counters, ids)
  local size = redis.call('HLEN', key)
  local want = redis.call('HGET', counters, counted_name(key))
  if want and tonumber(want) ~= size then
    return {}, redis.error_reply('DAMAGED ' .. key .. ' has lost legal holds')
  elseif size == 0 then
    return {}, nil
  end
  return redis.call('HMGET', key, unpack(ids)), nil
end
