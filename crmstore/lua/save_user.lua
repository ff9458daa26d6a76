-- save_user writes or removes a user who is still at the version that was read, unless nobody would be super admin then.
-- KEYS: 1 users hash, 2 account log
-- Types: hash log
-- ARGV: 1 name, 2 version read (0: there is none yet), 3 user (JSON, '' = remove), 4 wall (ms), 5 facts, 6 event, 7 detail
-- Returns: the new version, 0 if another version is there, -1 if it would take the last super admin
-- Cost: the number of users when it takes a super admin, else constant
-- Uses: log counts
local now = redis.call('HGET', KEYS[1], ARGV[1])
local version = now and string.match(now, '^(%d+) ') or '0'
if version ~= ARGV[2] then
  return 0
end
local mark = '"super_admin":true' -- inside a text its quotes would be escaped
if now and string.find(now, mark, 1, true) and not string.find(ARGV[3], mark, 1, true) then
  local admins = 0
  for _, user in ipairs(redis.call('HVALS', KEYS[1])) do
    if string.find(user, mark, 1, true) then
      admins = admins + 1
    end
  end
  if admins < 2 then
    return -1
  end
end
local fresh = now and tonumber(version) + 1 or tonumber(ARGV[4]) -- not 1 again: who was removed and added anew is somebody else
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', fresh) .. ARGV[3])
end
log_event(KEYS[2], ARGV[4], ARGV[6], '', ARGV[5], ARGV[7])
return fresh
