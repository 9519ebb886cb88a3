-- $1 key, $2 owner, $3 fence
DELETE FROM idempotency_records
WHERE key_hash = $1 AND owner = $2 AND fence = $3 AND state = 0 AND expires_at > clock_timestamp()
RETURNING true
