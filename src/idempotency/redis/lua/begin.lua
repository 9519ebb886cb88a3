-- ARGV: fingerprint, owner, lease, retention, max_attempts, '1' where a lapsed lease is taken over
-- {'A', fence, attempt} {'P', lease_left, attempt} {'C', format, tag, payload} {'U'} {'M'}
local lease, retention = tonumber(ARGV[3]), tonumber(ARGV[4])
local till = now + math.max(lease, retention)

-- Greater than the one before even if the clock was set back.
local function next_fence() return whole(math.max(now, (tonumber(fe) or 0) + 1)) end

if not st then
  fe = next_fence()
  -- In this order: a server that is full refuses the first write of a script, and no later one.
  write(till, 'st', 'I', 'fp', ARGV[1], 'ow', ARGV[2], 'fe', fe, 'at', 1, 'ef', 0,
    'lu', whole(now + lease))
  redis.call('HDEL', KEYS[1], 'fo', 'tg', 'pl')
  return {'A', fe, 1}
end
if fp ~= ARGV[1] then return {'M'} end
if st == 'C' or st == 'T' then
  return {'C', unpack(redis.call('HMGET', KEYS[1], 'fo', 'tg', 'pl'))}
end
if st == 'U' then return {'U'} end
if ow ~= ARGV[2] then
  if lu > now then return {'P', whole(lu - now), at} end
  if ef == '1' or ARGV[6] ~= '1' or at >= tonumber(ARGV[5]) then
    write(math.max(ex, now + retention), 'st', 'U')
    return {'U'}
  end
  fe, at = next_fence(), at + 1
end
write(math.max(ex, till), 'ow', ARGV[2], 'fe', fe, 'at', at, 'lu', whole(now + lease))
return {'A', fe, at}
