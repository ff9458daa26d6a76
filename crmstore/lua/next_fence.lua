-- next_fence takes the next fencing number of a run.
-- KEYS: 1 fence counter
-- ARGV: 1 the run's own fence
-- Returns: the number
-- Cost: constant
-- Uses: fence
return next_fence(KEYS[1], ARGV[1])
