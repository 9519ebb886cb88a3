-- ARGV: owner, fence, retention, format, tag, and the payload unless it is a tombstone
if not mine(ARGV[1], ARGV[2]) or st == 'U' then return 0 end
-- The answer to the first was lost on its way.
if st ~= 'I' then return 1 end
local till = now + tonumber(ARGV[3])
if ARGV[6] then
  write(till, 'st', 'C', 'fo', ARGV[4], 'tg', ARGV[5], 'pl', ARGV[6])
else
  write(till, 'st', 'T', 'fo', ARGV[4], 'tg', ARGV[5])
end
return 1
