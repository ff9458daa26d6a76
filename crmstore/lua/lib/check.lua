-- What every script asks before its first write. Redis takes nothing back that a script wrote before it failed, so all
-- that could refuse a later write is asked here: the type of each key, and whether a log can take another event.
-- What is refused changes nothing. The check of the keys is made from the line "Types" of a script's header.

-- How a key is asked without reading it; a key that is not there has every type. A log is a stream that events are added to.
local probes = {
  hash = function(key) return {'HSTRLEN', key, ''} end,
  string = function(key) return {'STRLEN', key} end,
  list = function(key) return {'LLEN', key} end,
  set = function(key) return {'SISMEMBER', key, ''} end,
  zset = function(key) return {'ZCARD', key} end,
  stream = function(key) return {'XREVRANGE', key, '+', '-', 'COUNT', 1} end,
}

-- The newest id that each log has given out, which may be above that of its newest event; false: the server does not say.
local log_ends = {}

-- The highest first half of an event's id: a log that has come so far is at its end.
local last_instant = '18446744073709551615'

-- Lua hands on so many values at once, and no more.
local most_values = 7000

-- The longest text that a key holds, in bytes.
local longest_text = 536870912

-- end_of_log(key) is the newest id that the stream has given out, or an error.
local function end_of_log(key)
  local told = redis.pcall('XINFO', 'STREAM', key)
  if told.err then
    if string.find(told.err, 'no such key', 1, true) then
      return '0-0'
    elseif string.find(told.err, 'NOPERM', 1, true) or string.find(told.err, 'permission', 1, true) then
      return false -- an access list from before this was asked: the server then gives the id
    end
    return told
  end
  for i = 1, #told, 2 do
    if told[i] == 'last-generated-id' then
      return told[i + 1]
    end
  end
  local newest = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)
  return newest[1] and newest[1][1] or '0-0'
end

-- refusal(key, kind, answer) is what is said of a key whose probe answered with an error; nil when it did not.
local function refusal(key, kind, answer)
  if type(answer) ~= 'table' or not answer.err then
    return nil
  elseif string.find(answer.err, 'WRONGTYPE', 1, true) then
    return redis.error_reply('WRONGTYPE ' .. key .. ' is no ' .. kind)
  end
  return answer
end

-- wrong_key(key, kind) is the refusal when the key holds something else, else nil.
local function wrong_key(key, kind)
  return refusal(key, kind, redis.pcall(unpack(probes[kind](key))))
end

-- count_of_log(key) is the hash in which the events of a log are counted.
local function count_of_log(key)
  return string.sub(key, 1, -4) .. 'cnt'
end

-- wrong_counts(key, ...) is the refusal when one of these fields of a hash cannot be counted up or down, else nil and the
-- fields' values.
local function wrong_counts(key, ...)
  local counts = redis.pcall('HMGET', key, ...)
  if counts.err then
    return refusal(key, 'hash', counts)
  end
  for _, text in ipairs(counts) do
    if text and (#text > 15 or not string.match(text, '^%-?%d+$')) then
      return redis.error_reply('DAMAGED ' .. key .. ' holds a count that is no number')
    end
  end
  return nil, counts
end

-- full_log(key) is the refusal when the key is no log or one that takes no more events, else nil.
local function full_log(key)
  local last = end_of_log(key)
  log_ends[key] = last
  if type(last) == 'string' and string.sub(last, 1, #last_instant) == last_instant then
    return redis.error_reply('LOGFULL ' .. key .. ' has given out its last id')
  end
  return refusal(key, 'stream', last) or wrong_counts(count_of_log(key), 'log')
end

-- wrong_keys(kinds, rest) is the refusal for the first of KEYS that is not of its kind; rest is that of all further ones.
local function wrong_keys(kinds, rest)
  for i, key in ipairs(KEYS) do
    local kind = kinds[i] or rest
    local refused = kind and kind ~= 'log' and wrong_key(key, kind)
    if refused then
      return refused
    end
  end
  return nil
end

-- too_many(values) is the refusal when there are more values than one command takes, else nil.
local function too_many(values)
  if values > most_values then
    return redis.error_reply('TOOMANY ' .. values .. ' values for one command, at most ' .. most_values)
  end
  return nil
end
