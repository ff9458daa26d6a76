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
