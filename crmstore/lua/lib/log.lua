-- plus_one(text) is a whole number of any size, as text, and one more.
local function plus_one(text)
  local head, digit, nines = string.match(text, '^(.-)([0-8]?)(9*)$')
  return head .. (digit == '' and '1' or tostring(digit + 1)) .. string.rep('0', #nines)
end

-- first_id(key, wall) is where the next event's id begins: at wall (the sender's clock, in ms), or behind the newest id
-- that the log has given out, even when no event has it any more.
local function first_id(key, wall)
  local ms, seq = string.match(log_ends[key], '^(%d+)%-(%d+)$')
  if #ms < #wall or (#ms == #wall and ms < wall) then
    return {ms = wall .. '-', seq = -1}
  elseif #seq > 14 then -- more than fits a number that is written in full
    return {ms = plus_one(ms) .. '-', seq = -1}
  end
  return {ms = ms .. '-', seq = tonumber(seq)}
end

-- log_event(key, wall, op, ids, facts, detail, changes) appends one audit event to the log at key, which is of kind log
-- in the script's header. ids: 8 bytes per record; facts: when, who and why; empty texts are left out. changes (may be
-- nil) are the values before and after of one record, which go into an event of that record alone. Fields are short:
-- they are many. The event is counted in the hash cnt beside the stream (see count_of_log): the partition's counters, or
-- the account's.
local next_ids = {}
local function log_event(key, wall, op, ids, facts, detail, changes)
  local id = '*'
  if log_ends[key] then
    local at = next_ids[key] or first_id(key, wall)
    next_ids[key] = at
    at.seq = at.seq + 1
    id = at.ms .. string.format('%.0f', at.seq)
  end
  if changes and changes ~= '' then
    redis.call('XADD', key, id, 'o', op, 'f', facts, 'i', ids, 'c', changes)
  elseif detail ~= '' and ids ~= '' then
    redis.call('XADD', key, id, 'o', op, 'f', facts, 'i', ids, 'd', detail)
  elseif detail ~= '' then
    redis.call('XADD', key, id, 'o', op, 'f', facts, 'd', detail)
  elseif ids ~= '' then
    redis.call('XADD', key, id, 'o', op, 'f', facts, 'i', ids)
  else
    redis.call('XADD', key, id, 'o', op, 'f', facts)
  end
  count_change(count_of_log(key), key, 1)
end
