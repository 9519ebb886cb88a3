-- $1 key, $2 fingerprint, $3 owner. What is there, unless it is what the owner has just claimed.
SELECT fingerprint = $2 AS same, state, attempt,
    greatest(0, extract(epoch FROM lease_until - clock_timestamp()))::float8 AS lease_left,
    format, tag, CASE WHEN fingerprint = $2 THEN payload END AS payload
FROM idempotency_records
WHERE key_hash = $1 AND NOT (state = 0 AND owner = $3 AND fingerprint = $2)
