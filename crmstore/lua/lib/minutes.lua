-- Deletions by minute are a hash: minute → how many. Its fields t and f are their sum from the minute f on, so that
-- only the minutes between f and the one that is asked for are looked at.

-- minutes_from(key, first) is the sum of all minutes from first on.
local function minutes_from(key, first)
  local known, size = redis.call('HMGET', key, 't', 'f'), redis.call('HLEN', key)
  local total, from = tonumber(known[1] or ''), tonumber(known[2] or '')
  if not total or not from or math.abs(first - from) > size then
    local all = redis.call('HGETALL', key)
    total = 0
    for i = 1, #all, 2 do
      local minute = tonumber(all[i])
      if minute and minute >= first then
        total = total + tonumber(all[i + 1])
      end
    end
    return total
  end
  local between = {}
  for minute = math.min(first, from), math.max(first, from) - 1 do
    between[#between + 1] = string.format('%.0f', minute)
  end
  if #between == 0 then
    return total
  end
  local counts, sum = redis.call('HMGET', key, unpack(between)), 0
  for i = 1, #between do
    sum = sum + tonumber(counts[i] or '0')
  end
  if first > from then
    return total - sum
  end
  return total + sum
end
