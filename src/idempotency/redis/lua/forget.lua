redis.call('DEL', KEYS[1])
return st and 1 or 0
