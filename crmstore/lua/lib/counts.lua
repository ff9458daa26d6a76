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

-- Lists, enrollments and legal holds have a sum as well, in the field sum:<name>: each member makes a number, and these
-- are added. So a member that was lost while another one was gained is noticed. What had members before sums were kept has
-- none until doctor makes it.

-- mark_of_number(n) is a number below 2^24; n is below 2^42, and all on the way below 2^53.
local floor = math.floor
local function mark_of_number(n)
  local x = (n % 16777213 * 2654435 + 12345) % 16777216
  return floor(x * x / 4096) % 16777216
end

-- mark_of(at, value) stands for a byte of a list, which is 0 without members.
local function mark_of(at, value)
  if value == 0 then
    return 0
  end
  return mark_of_number(256 * at + value)
end

-- mark_of_id(id) stands for an id (8 bytes), 0 for a name that is none. A number does not hold 64 bits; 2^24 is 3 more
-- than what mark_of_number divides by, so that the high bytes may count three times instead.
local function mark_of_id(id)
  if #id ~= 8 then
    return 0
  end
  local a, b, c, d, e, f, g, h = string.byte(id, 1, 8)
  return mark_of_number(a + b * 256 + c * 65536 + 3 * (d + e * 256 + f * 65536 + g * 16777216 + h * 4294967296))
end

-- sum_of_ids(ids) is the sum of enrollments or holds of these records.
local function sum_of_ids(ids)
  local sum = 0
  for i = 1, #ids do
    sum = sum + mark_of_id(ids[i])
  end
  return sum
end

-- has_sum(counters, name, added) reports whether a sum is kept, after count_change counted so many new members: it is from
-- the first members on.
local function has_sum(counters, name, added)
  local kept = redis.call('HMGET', counters, 'sum:' .. name, name)
  return kept[1] or kept[2] == tostring(added)
end

-- add_to_sum(counters, name, by) changes a sum. Adding 0 makes a number of -0 that the server takes.
local function add_to_sum(counters, name, by)
  redis.call('HINCRBY', counters, 'sum:' .. name, string.format('%.0f', by + 0))
end

-- sum_change(counters, key, slots, by) is called after count_change, when the bits of slots were set (by 1) or cleared
-- (by -1), each of them once.
local function sum_change(counters, key, slots, by)
  local name = counted_name(key)
  if not has_sum(counters, name, by * #slots) then
    return
  end
  local changed = {} -- byte → by how much it is more
  for _, slot in ipairs(slots) do
    local at = floor(slot / 8)
    changed[at] = (changed[at] or 0) + by * 2 ^ (7 - slot % 8)
  end
  local sum = 0
  for at, more in pairs(changed) do
    local value = string.byte(redis.call('GETRANGE', key, at, at)) or 0
    sum = sum + mark_of(at, value) - mark_of(at, value - more)
  end
  add_to_sum(counters, name, sum)
end

-- ids_change(counters, key, ids, by) is called after count_change, when the hash at key got entries of ids (by 1) or lost
-- them (by -1), each of them once.
local function ids_change(counters, key, ids, by)
  local name = counted_name(key)
  if #ids > 0 and has_sum(counters, name, by * #ids) then
    add_to_sum(counters, name, by * sum_of_ids(ids))
  end
end

-- drop_entries(counters, key, ids) takes the entries of ids out of the hash at key, and off its counter and its sum.
local function drop_entries(counters, key, ids)
  local there, gone = redis.call('HMGET', key, unpack(ids)), {}
  for i, id in ipairs(ids) do
    if there[i] then
      gone[#gone + 1] = id
    end
  end
  if #gone > 0 then
    redis.call('HDEL', key, unpack(gone))
    count_removed(counters, key, #gone)
    ids_change(counters, key, gone, -1)
  end
end
