-- $1 key, $2 owner, $3 fence
UPDATE idempotency_records SET state = 2
WHERE key_hash = $1 AND owner = $2 AND fence = $3 AND state IN (0, 2)
    AND expires_at > clock_timestamp()
RETURNING true
