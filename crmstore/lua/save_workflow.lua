-- save_workflow writes a workflow if it is still at the version that was read, with a new revision if there is one.
-- KEYS: 1 workflows hash, 2 the workflow's revisions hash, 3 account log
-- Types: hash hash log
-- ARGV: 1 name, 2 version read (0: there is none yet), 3 workflow (JSON), 4 revision number ('' = no new one), 5 revision (JSON), 6 wall (ms), 7 facts, 8 event ('' = none)
-- Returns: the new version, or 0 if another version is there or the revision's number is taken
-- Cost: constant
-- Uses: log counts
local now = redis.call('HGET', KEYS[1], ARGV[1])
local version = now and string.match(now, '^(%d+) ') or '0'
if version ~= ARGV[2] then
  return 0
end
if ARGV[4] ~= '' and redis.call('HSETNX', KEYS[2], ARGV[4], ARGV[5]) == 0 then
  return 0
end
local fresh = tonumber(version) + 1
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', fresh) .. ARGV[3])
if ARGV[8] ~= '' then
  local parts = {}
  for _, field in ipairs({'revision', 'on'}) do
    local pattern = '"' .. field .. '":(%w+)' -- inside a text its quotes would be escaped
    local was, is = now and string.match(now, pattern), string.match(ARGV[3], pattern)
    if was and is and was ~= is then
      parts[#parts + 1] = field .. ' ' .. was .. ' to ' .. is
    end
  end
  log_event(KEYS[3], ARGV[6], ARGV[8], '', ARGV[7], table.concat(parts, ', '))
end
return fresh
