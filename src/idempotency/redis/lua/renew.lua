-- ARGV: owner, fence, lease
if st ~= 'I' or not mine(ARGV[1], ARGV[2]) then return 0 end
local till = now + tonumber(ARGV[3])
write(math.max(ex, till), 'lu', whole(till))
return 1
