-- ARGV: owner, fence
if st ~= 'I' or not mine(ARGV[1], ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'ef', 1)
return 1
