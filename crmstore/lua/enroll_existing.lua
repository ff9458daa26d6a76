-- enroll_existing enrolls records that have no enrollment in the workflow yet.
-- KEYS: 1 enrollments
-- ARGV: 1 enrollment, 2 ids (8 bytes each)
-- Returns: how many were enrolled
-- Cost: one HSETNX for each
local n = 0
for i = 1, #ARGV[2], 8 do
  n = n + redis.call('HSETNX', KEYS[1], string.sub(ARGV[2], i, i + 7), ARGV[1])
end
return n
