-- What scripts know of associations (see associations.go). A field of their hash is a record's id (8 bytes) and the name
-- of the object type of the others. Its value has an entry of 9 bytes for each of them, sorted by id: the other
-- record's id (8 bytes, little-endian) and a mark. A mark is 0 when nothing is under way, else 4 times a random number
-- from 0 to 63, plus 1 while the association is being added or 2 while it is being removed.
local settled_mark = '\0'

-- id_halves(text, at) is the id at that byte as two numbers, the high one first: a Lua number does not hold 64 bits, and
-- comparing texts would follow the server's language.
local function id_halves(text, at)
  local a, b, c, d, e, f, g, h = string.byte(text, at, at + 7)
  return h * 16777216 + g * 65536 + f * 256 + e, d * 16777216 + c * 65536 + b * 256 + a
end

-- find_entry(value, from, id) is the place (counted from 0, at least from) where the entry of an id stands or would
-- stand, and whether it stands there.
local function find_entry(value, from, id)
  local low, high = from, math.floor(#value / 9)
  local want_high, want_low = id_halves(id, 1)
  for _ = 1, 64 do
    if low >= high then
      break
    end
    local middle = math.floor((low + high) / 2)
    local is_high, is_low = id_halves(value, 9 * middle + 1)
    if is_high < want_high or (is_high == want_high and is_low < want_low) then
      low = middle + 1
    else
      high = middle
    end
  end
  return low, string.sub(value, 9 * low + 1, 9 * low + 8) == id
end

-- edit_entries(key, name, pairs, decide) goes over pairs (own id and other id, 16 bytes, sorted) and changes the entries
-- of own ids. decide(i, own, mark, count) gets the number of the pair, its own id, the mark of its entry ('' when there
-- is none) and how many entries the field has; it returns the mark to write, '' to take the entry out, nil to leave all.
local function edit_entries(key, name, pairs, decide)
  local at, set, gone = 1, {}, {}
  for _ = 1, #pairs, 16 do
    if at > #pairs then
      break
    end
    local own = string.sub(pairs, at, at + 7)
    local value = redis.call('HGET', key, own .. name) or ''
    local pieces, cursor, place, there, count = {}, 1, 0, false, math.floor(#value / 9)
    for _ = at, #pairs, 16 do
      if string.sub(pairs, at, at + 7) ~= own then
        break
      end
      local other = string.sub(pairs, at + 8, at + 15)
      place, there = find_entry(value, place, other)
      local mark = there and string.sub(value, 9 * place + 9, 9 * place + 9) or ''
      local want = decide((at + 15) / 16, own, mark, count)
      if want and want ~= mark then
        pieces[#pieces + 1] = string.sub(value, cursor, 9 * place)
        cursor = 9 * place + 1
        if there then
          cursor = cursor + 9
        end
        if want == '' then
          count = count - 1
        else
          pieces[#pieces + 1] = other .. want
          if not there then
            count = count + 1
          end
        end
      end
      at = at + 16
    end
    if #pieces > 0 then
      value = table.concat(pieces) .. string.sub(value, cursor)
      if value == '' then
        gone[#gone + 1] = own .. name
      else
        set[#set + 1] = own .. name
        set[#set + 1] = value
      end
    end
  end
  if #set > most_values or #gone > most_values then
    error('TOOMANY values for one command')
  end
  if #set > 0 then
    redis.call('HSET', key, unpack(set))
  end
  if #gone > 0 then
    redis.call('HDEL', key, unpack(gone))
  end
end

-- state_of(key, id) is '1' for a live record, '3' for one in the bin, '4' for one that is not there.
local known_states = {}
local function state_of(key, id)
  if not known_states[id] then
    local record = redis.call('HGET', key, id)
    if not record then
      known_states[id] = '4'
    elseif string.sub(record, 13, 20) == '\0\0\0\0\0\0\0\0' then
      known_states[id] = '1'
    else
      known_states[id] = '3'
    end
  end
  return known_states[id]
end

-- log_pairs(key, wall, facts, op, name, pairs) appends one audit event about a list of pairs; none when facts are empty
-- or there is no pair. The detail is the other object type's name, a zero byte, and the other ids.
local function log_pairs(key, wall, facts, op, name, pairs)
  if facts == '' or #pairs == 0 then
    return
  end
  local own, others = {}, {}
  for i, pair in ipairs(pairs) do
    own[i] = string.sub(pair, 1, 8)
    others[i] = string.sub(pair, 9, 16)
  end
  log_event(key, wall, op, table.concat(own), facts, name .. '\0' .. table.concat(others))
end

-- has_association(key, ids, names) says for each id whether a field of any of the object types is left.
local function has_association(key, ids, names)
  local has = {}
  if redis.call('EXISTS', key) == 0 then
    return has
  end
  for i, id in ipairs(ids) do
    for _, name in ipairs(names) do
      has[i] = has[i] or redis.call('HEXISTS', key, id .. name) == 1
    end
  end
  return has
end
