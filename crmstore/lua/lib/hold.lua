-- held_among(records, key, counters, ids) says for each id whether its record is on legal hold, and is a refusal when the
-- partition has lost holds, or the counter of them: nobody knows then who must stay. Without holds it costs three questions.
local function held_among(records, key, counters, ids)
  local size = redis.call('HLEN', key)
  local counts = redis.call('HMGET', counters, counted_name(key), 'live', 'archived')
  if counts[1] and tonumber(counts[1]) ~= size then
    return {}, redis.error_reply('DAMAGED ' .. key .. ' has lost legal holds')
  elseif size > 0 then
    return redis.call('HMGET', key, unpack(ids)), nil
  end
  -- Counters that were lost and began anew count fewer records than there are.
  local live, archived = tonumber(counts[2] or '0'), tonumber(counts[3] or '0')
  if not counts[1] and live and archived and live + archived < redis.call('HLEN', records) then
    return {}, redis.error_reply('DAMAGED ' .. counters .. ' was lost, and with it how many legal holds there are')
  end
  return {}, nil
end
