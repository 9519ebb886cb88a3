-- false, or {state, attempt, fence, effects, lease_left, retention_left, payload_length, tag}
if not st then return false end
local lease_left = st == 'I' and whole(math.max(0, lu - now))
return {st, at, fe, ef, lease_left, whole(ex - now), redis.call('HSTRLEN', KEYS[1], 'pl'),
  redis.call('HGET', KEYS[1], 'tg')}
