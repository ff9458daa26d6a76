-- save_ledger writes how many records the partitions of a window hold, unless another process wrote it meanwhile. The
-- account itself has their sum: so a lost ledger is told from one that never was.
-- KEYS: 1 ledger hash, 2 account hash
-- Types: hash hash
-- ARGV: 1 field, 2 what it held ('' = it was not there), 3 what it holds, 4 key of claims, by which the account is known, 5 sum of the window
-- Returns: 1 written, 0 the account is another, or another process was faster
-- Cost: constant
if redis.call('HGET', KEYS[2], 'key') ~= ARGV[4] or (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('HSET', KEYS[2], 'ledger:' .. ARGV[1], ARGV[5])
return 1
