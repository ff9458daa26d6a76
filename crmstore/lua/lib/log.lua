-- log_event(key, wall, op, ids, facts, detail, changes) appends one audit event to the stream at key.
-- Stream ids must grow, so the id starts from wall (the sender's clock, in ms) and goes past the newest id if need be.
-- ids: 8 bytes per record; facts: when, who and why; empty texts are left out. changes (may be nil) are the values
-- before and after of one record, which go into an event of that record alone. Fields are short: they are many. The
-- event is counted in the hash cnt beside the stream, whose key has the same hash tag: the partition's counters, or the
-- account's.
local newest_event = {}
local function log_event(key, wall, op, ids, facts, detail, changes)
  local at = newest_event[key]
  if not at then
    local ms, seq = tonumber(wall), -1
    local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)
    if last[1] then
      local last_ms, last_seq = string.match(last[1][1], '^(%d+)%-(%d+)$')
      if tonumber(last_ms) >= ms then
        ms, seq = tonumber(last_ms), tonumber(last_seq)
      end
    end
    at = {ms = string.format('%.0f-', ms), seq = seq}
    newest_event[key] = at
  end
  at.seq = at.seq + 1
  local id = at.ms .. at.seq
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
  count_change(string.sub(key, 1, -4) .. 'cnt', key, 1)
end
