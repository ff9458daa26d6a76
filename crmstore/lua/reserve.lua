-- reserve sets deletions aside for a run, if its workflow and all of the account together have room for them in 24
-- hours. What the run had set aside before is replaced. Room takes what was deleted in the minutes that count, and what other runs have set aside.
-- Deletions of all are the sum of those of each workflow and by hand: where one of these keys was lost, the others tell, and
-- what was forgotten is counted against the workflow, and against all. Where more was lost, the runs of these hours tell.
-- KEYS: 1 what runs have set aside, 2 deletions of all by minute, 3 deletions of the workflow by minute, 4 deletions of runs that are counted already, 5.. deletions of every other workflow by minute, and by hand
-- Types: hash hash hash hash hash..
-- ARGV: 1 run id, 2 workflow (a deletion by hand: empty), 3 records that the run may delete in all, 4 first minute that counts, 5 most of the workflow (-1: any number), 6 most of all (-1: any number), 7 what runs of the workflow deleted in these hours that are over, 8.. the same of each other
-- Returns: whether they are set aside (1, 0), and how many others there are of the workflow and of all
-- Cost: the minutes since a deletion was counted last and a few questions for each workflow, and the runs that act
-- Uses: minutes
local counted = tonumber(redis.call('HGET', KEYS[4], ARGV[1]) or '0')
local want = math.max(tonumber(ARGV[3]) - counted, 0)
local first = tonumber(ARGV[4])
local open, aside, all_aside = redis.call('HGETALL', KEYS[1]), {}, 0
for i = 1, #open, 2 do
  if open[i] ~= ARGV[1] then
    local n, workflow = string.match(open[i + 1], '^(%d+) (.*)$')
    all_aside = all_aside + tonumber(n)
    aside[workflow] = (aside[workflow] or 0) + tonumber(n)
  end
end
-- A run that is over may still have something set aside, until it is counted.
local own_aside = aside[ARGV[2]] or 0
local all = minutes_from(KEYS[2], first)
local own = math.max(minutes_from(KEYS[3], first), tonumber(ARGV[7]) - own_aside)
local each = own
for i = 5, #KEYS do
  local workflow = string.sub(KEYS[i], #KEYS[2] + 2)
  each = each + math.max(minutes_from(KEYS[i], first), tonumber(ARGV[3 + i]) - (aside[workflow] or 0))
end
own = own + math.max(all - each, 0) + own_aside
all = math.max(all, each) + all_aside
local most, most_of_all = tonumber(ARGV[5]), tonumber(ARGV[6])
if want > 0 and ((most >= 0 and own + want > most) or (most_of_all >= 0 and all + want > most_of_all)) then
  redis.call('HDEL', KEYS[1], ARGV[1])
  return {0, own, all}
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', want) .. ARGV[2])
return {1, own, all}
