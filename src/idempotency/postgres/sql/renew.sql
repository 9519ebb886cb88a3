-- $1 key, $2 owner, $3 fence, $4 lease in seconds
UPDATE idempotency_records
SET lease_until = clock_timestamp() + $4 * interval '1 second',
    expires_at = greatest(expires_at, clock_timestamp() + $4 * interval '1 second')
WHERE key_hash = $1 AND owner = $2 AND fence = $3 AND state = 0 AND expires_at > clock_timestamp()
RETURNING true
