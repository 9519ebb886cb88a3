-- $1 key
SELECT state, attempt, fence, effects, tag, coalesce(octet_length(payload), 0) AS payload_length,
    greatest(0, extract(epoch FROM lease_until - now))::float8 AS lease_left,
    extract(epoch FROM expires_at - now)::float8 AS retention_left
FROM idempotency_records, (SELECT clock_timestamp() AS now) AS times
WHERE key_hash = $1 AND expires_at > now
