-- ARGV: owner, fence, 'R' to release or 'U' for indeterminate
if not mine(ARGV[1], ARGV[2]) then return 0 end
if st == 'U' and ARGV[3] == 'U' then return 1 end
if st ~= 'I' then return 0 end
if ARGV[3] == 'R' then
  redis.call('DEL', KEYS[1])
else
  redis.call('HSET', KEYS[1], 'st', 'U')
end
return 1
