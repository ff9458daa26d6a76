-- compact stores columns of one partition again as they are, in as much memory as they need: a column that grows is
-- given up to twice that. A copy is made in just what it needs, and takes the column's place.
-- KEYS: 1 name of the copy, which nobody else uses, 2.. columns
-- Types: string string..
-- Returns: how many columns there are
-- Cost: each column, once
local n = 0
for i = 2, #KEYS do
  if redis.call('COPY', KEYS[i], KEYS[1], 'REPLACE') == 1 then
    redis.call('RENAME', KEYS[1], KEYS[i])
    n = n + 1
  end
end
return n
