-- What scripts know of counted keys. A partition's counters say of each list, of each workflow's enrollments and of the
-- log how many entries it must hold, in a field with the name of the key behind its hash tag, such as list:3. So a key
-- that the server lost can be told from one that never held anything.
local function counted_name(key)
  return string.match(key, '}:(.+)$')
end

-- size_of(key) is how many entries a counted key holds.
local function size_of(key)
  local kind = string.match(key, '}:(%a+)')
  if kind == 'list' then
    return redis.call('BITCOUNT', key)
  elseif kind == 'enr' or kind == 'hold' then
    return redis.call('HLEN', key)
  end
  return redis.call('XLEN', key)
end

-- count_change(counters, key, by) is called after so many entries were added to key (or, below 0, taken away). A key
-- of an older store, which nobody has counted yet, is counted as it is.
local function count_change(counters, key, by)
  if by ~= 0 and redis.call('HINCRBY', counters, counted_name(key), by) == by then
    redis.call('HSET', counters, counted_name(key), size_of(key))
  end
end

-- count_removed(counters, key, n) is count_change for entries that go together with their records: it counts nothing
-- anew, since what a run by hand keeps under its own name is not counted.
local function count_removed(counters, key, n)
  if n > 0 and redis.call('HEXISTS', counters, counted_name(key)) == 1 then
    redis.call('HINCRBY', counters, counted_name(key), -n)
  end
end

-- adds_up(counters, key) reports whether a counted key holds as many entries as it must. One that nobody has counted does.
local function adds_up(counters, key)
  local want = redis.call('HGET', counters, counted_name(key))
  return not want or tonumber(want) == size_of(key)
end

-- A list has a sum as well, in the field sum:list:<n>: a number is made of each of its bytes that is not 0, and these are
-- added. So a member that was lost while another one was gained is noticed. A list that had members before sums were kept
-- has none until doctor makes it. The number is below 2^24, and all on the way to it below 2^53.
local function mark_of(at, value)
  if value == 0 then
    return 0
  end
  local x = ((256 * at + value) % 16777213 * 2654435 + 12345) % 16777216
  return math.floor(x * x / 4096) % 16777216
end

-- sum_change(counters, key, slots, by) is called after count_change, when the bits of slots were set (by 1) or cleared
-- (by -1), each of them once.
local function sum_change(counters, key, slots, by)
  local name = counted_name(key)
  if redis.call('HEXISTS', counters, 'sum:' .. name) == 0
      and not (by == 1 and redis.call('HGET', counters, name) == tostring(#slots)) then
    return
  end
  local changed = {} -- byte → by how much it is more
  for _, slot in ipairs(slots) do
    local at = math.floor(slot / 8)
    changed[at] = (changed[at] or 0) + by * 2 ^ (7 - slot % 8)
  end
  local sum = 0
  for at, more in pairs(changed) do
    local value = string.byte(redis.call('GETRANGE', key, at, at)) or 0
    sum = sum + mark_of(at, value) - mark_of(at, value - more)
  end
  redis.call('HINCRBY', counters, 'sum:' .. name, string.format('%.0f', sum))
end
