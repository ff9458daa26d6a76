-- log_event(key, wall, op, ids, facts, detail) appends one audit event to the stream at key.
-- Stream ids must grow, so the id starts from wall (the sender's clock, in ms) and goes past the newest id if need be.
-- ids: 8 bytes per record; facts: when, who and why; empty texts are left out. Fields are short: they are many.
local newest_event = {}
local function log_event(key, wall, op, ids, facts, detail)
  local at = newest_event[key]
  if not at then
    at = {ms = tonumber(wall), seq = -1}
    local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)
    if last[1] then
      local ms, seq = string.match(last[1][1], '^(%d+)%-(%d+)$')
      if tonumber(ms) >= at.ms then
        at.ms, at.seq = tonumber(ms), tonumber(seq)
      end
    end
    newest_event[key] = at
  end
  at.seq = at.seq + 1
  local event = {'o', op, 'f', facts}
  if ids ~= '' then
    event[#event + 1] = 'i'
    event[#event + 1] = ids
  end
  if detail ~= '' then
    event[#event + 1] = 'd'
    event[#event + 1] = detail
  end
  redis.call('XADD', key, string.format('%.0f-%.0f', at.ms, at.seq), unpack(event))
end

