-- The record under KEYS[1]: `st` and its fields. `st` is false where there is none, or where its
-- retention is over. Time is the server's alone, in microseconds: exact below 2^53, until 2255.
--   st: I in flight, C completed, T tombstone, U indeterminate
--   fp fingerprint   ow owner   fe fence   at attempt   ef effects (0, 1)   lu end of the lease
--   ex end of the retention   fo tg pl format, tag and payload of the outcome
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local st, fp, ow, fe, at, ef, lu, ex = unpack(redis.call('HMGET', KEYS[1],
  'st', 'fp', 'ow', 'fe', 'at', 'ef', 'lu', 'ex'))
if st then
  at, lu, ex = tonumber(at), tonumber(lu), tonumber(ex)
  if not (fp and ow and tonumber(fe) and at and ef and ex and string.find('ICTU', st, 1, true))
    or (st == 'I' and not lu) then
    return redis.error_reply('CORRUPT a record lacks a field, or has one that makes no sense')
  end
  if ex <= now then st = false end
end

local function whole(number) return string.format('%.0f', number) end

-- Writes fields, and has the record last until `till`. The key outlives that by less than 1 ms.
local function write(till, ...)
  redis.call('HSET', KEYS[1], 'ex', whole(till), ...)
  redis.call('PEXPIREAT', KEYS[1], whole(math.ceil(till / 1000)))
end

local function mine(owner, fence) return st and ow == owner and fe == fence end
