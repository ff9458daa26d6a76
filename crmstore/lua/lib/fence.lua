-- next_fence(key, floor) takes the next fencing number of a run from the counter at key: above all numbers that were
-- taken before, and above floor, which is the run's own (a new run has one without asking the counter).
local function next_fence(key, floor)
  local last = math.max(tonumber(redis.call('GET', key) or '0'), tonumber(floor))
  redis.call('SET', key, string.format('%.0f', last + 1))
  return last + 1
end
-- fenced(key, fence) reports whether a partition's run hash has seen a higher fence; else it keeps this one. An empty
-- fence is never refused.
local function fenced(key, fence)
  if fence == '' then
    return false
  end
  local seen, mine = tonumber(redis.call('HGET', key, 'f') or '0'), tonumber(fence)
  if seen < mine then
    redis.call('HSET', key, 'f', fence)
  end
  return seen > mine
end
