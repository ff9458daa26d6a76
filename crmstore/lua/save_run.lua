-- save_run writes a run if it is still at the version that was read, and appends audit events about it. Whoever stops the
-- run takes its next fencing number after the write. Whoever takes the run over has its number in the run: a number is only
-- taken together with the run, because one that is taken by a loser would fence the winner off.
-- KEYS: 1 the run, 2 active hash, 3 account log, 4 fence counter, 5 ranges, which a run loses that is over or stopped
-- Types: string hash log string hash
-- ARGV: 1 run id, 2 workflow (a deletion by hand: the run id), 3 version read, 4 run (JSON), 5 over (1: frees the workflow for its next run; 0: holds it), 6 wall (ms), 7 the run's own fence, to take a number above it (empty: none), 8 the number in the run, which it takes (empty: none), 9.. events: op, facts, detail
-- Returns: the new version and the number taken (0: none); 0 if another version is there; -1 if a number is taken that is not below the run's; or the id of another run of the workflow that is not over, when this one should go on
-- Cost: constant
-- Uses: log counts fence
local now = redis.call('GET', KEYS[1])
local version = now and string.match(now, '^(%d+) ')
if version ~= ARGV[3] then
  return 0
end
if ARGV[8] ~= '' and tonumber(redis.call('GET', KEYS[4]) or '0') >= tonumber(ARGV[8]) then
  return -1
end
local active = redis.call('HGET', KEYS[2], ARGV[2])
if ARGV[5] ~= '1' and active and active ~= ARGV[1] then
  return active
end
if ARGV[8] ~= '' then
  redis.call('SET', KEYS[4], ARGV[8])
end
local number = 0
if ARGV[7] ~= '' then -- before all else, since the counter may hold something else than a number
  number = next_fence(KEYS[4], ARGV[7])
end
if ARGV[5] == '1' then
  if active == ARGV[1] then
    redis.call('HDEL', KEYS[2], ARGV[2])
  end
else
  redis.call('HSET', KEYS[2], ARGV[2], ARGV[1])
end
local fresh = tonumber(version) + 1
redis.call('SET', KEYS[1], string.format('%.0f ', fresh) .. ARGV[4])
if ARGV[5] == '1' or ARGV[7] ~= '' then
  redis.call('DEL', KEYS[5])
end
for i = 9, #ARGV, 3 do
  log_event(KEYS[3], ARGV[6], ARGV[i], '', ARGV[i + 1], ARGV[i + 2])
end
return {fresh, number}
