-- held_among(records, key, counters, ids) says for each id whether its record is on legal hold, and is a refusal when the
-- partition has lost holds, or what counts them: nobody knows then who must stay. Without holds it costs two questions, with
-- holds the names of all that the partition has: they are few, and only together they tell that one was moved.
local function held_among(records, key, counters, ids)
  local size, name = redis.call('HLEN', key), counted_name(key)
  local counts = redis.call('HMGET', counters, name, 'sum:' .. name, 'live', 'archived')
  if counts[1] and tonumber(counts[1]) ~= size then
    return {}, redis.error_reply('DAMAGED ' .. key .. ' has lost legal holds')
  elseif counts[2] and tonumber(counts[2]) ~= (size > 0 and sum_of_ids(redis.call('HKEYS', key)) or 0) then
    return {}, redis.error_reply('DAMAGED ' .. key .. ' has lost legal holds, and holds others')
  elseif size > 0 then
    return redis.call('HMGET', key, unpack(ids)), nil
  end
  -- Counters that were lost and began anew count fewer records than there are.
  local live, archived = tonumber(counts[3] or '0'), tonumber(counts[4] or '0')
  if not counts[1] and live and archived and live + archived < redis.call('HLEN', records) then
    return {}, redis.error_reply('DAMAGED ' .. counters .. ' was lost, and with it how many legal holds there are')
  end
  return {}, nil
end
