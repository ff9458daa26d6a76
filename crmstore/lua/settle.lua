-- settle counts what a run deleted in place of what it had set aside, or what was deleted without a run. It may be
-- repeated: what is counted is not counted again. Of a run that set nothing aside nothing is counted.
-- KEYS: 1 what runs have set aside, 2 deletions of all by minute, 3 deletions of the workflow by minute, 4 deletions of runs that are counted already, 5 the run
-- Types: hash hash hash hash string
-- ARGV: 1 run id (empty: no run), 2 records deleted in all, 3 minute, 4 final (1: the run never goes on; 0), 5 first minute that counts, 6 seconds to keep minutes after the last deletion, 7 version of the run as it was read (empty: any), 8 first minute that is kept when there are too many, 9 so many are
-- Returns: how many were counted now; -1: the run has another version, and its carrier will count
-- Cost: the minutes since the last deletion was counted; now and then all that are kept
-- Uses: minutes
local aside = redis.call('HGET', KEYS[1], ARGV[1])
local counted = redis.call('HGET', KEYS[4], ARGV[1])
local run = redis.call('GET', KEYS[5])
if ARGV[7] ~= '' and run and string.match(run, '^(%d+) ') ~= ARGV[7] then
  return -1
end
if ARGV[1] ~= '' and not counted and not aside then
  return 0
end
local before = tonumber(counted or '0')
local fresh = math.max(tonumber(ARGV[2]) - before, 0)
local sums, old = {}, {{}, {}}
for i = 1, 2 do
  local key = KEYS[i + 1]
  sums[i] = minutes_from(key, tonumber(ARGV[5]))
  if redis.call('HLEN', key) > tonumber(ARGV[9]) then
    for _, minute in ipairs(redis.call('HKEYS', key)) do
      local number = tonumber(minute)
      if number and number < tonumber(ARGV[8]) then
        table.insert(old[i], minute)
      end
    end
  end
end
local refused = too_many(#old[1]) or too_many(#old[2]) or wrong_counts(KEYS[2], ARGV[3]) or wrong_counts(KEYS[3], ARGV[3])
if refused then
  return refused
end
redis.call('HDEL', KEYS[1], ARGV[1])
if ARGV[4] == '1' then
  redis.call('HDEL', KEYS[4], ARGV[1])
else
  redis.call('HSET', KEYS[4], ARGV[1], string.format('%.0f', before + fresh))
end
if fresh == 0 then
  return 0
end
for i, gone in ipairs(old) do
  local key = KEYS[i + 1]
  if #gone > 0 then
    redis.call('HDEL', key, unpack(gone))
  end
  redis.call('HINCRBY', key, ARGV[3], fresh)
  redis.call('HSET', key, 't', string.format('%.0f', sums[i] + fresh), 'f', ARGV[5])
  redis.call('EXPIRE', key, ARGV[6])
end
return fresh
