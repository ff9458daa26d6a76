-- note appends one event to the account's audit log.
-- KEYS: 1 account log
-- Types: log
-- ARGV: 1 wall (ms), 2 event, 3 facts, 4 detail
-- Returns: 1
-- Cost: constant
-- Uses: log counts
log_event(KEYS[1], ARGV[1], ARGV[2], '', ARGV[3], ARGV[4])
return 1
