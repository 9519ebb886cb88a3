-- $1 key, $2 owner, $3 fence, $4 retention in seconds, $5 format, $6 tag, $7 payload
-- Repeated by the claim that has completed, because its answer was lost, it changes nothing.
UPDATE idempotency_records
SET state = CASE WHEN state <> 0 THEN state WHEN $7 IS NULL THEN 3 ELSE 1 END,
    format = CASE state WHEN 0 THEN $5 ELSE format END,
    tag = CASE state WHEN 0 THEN $6 ELSE tag END,
    payload = CASE state WHEN 0 THEN $7 ELSE payload END,
    expires_at = CASE state WHEN 0 THEN clock_timestamp() + $4 * interval '1 second'
        ELSE expires_at END
WHERE key_hash = $1 AND owner = $2 AND fence = $3 AND state IN (0, 1, 3)
    AND expires_at > clock_timestamp()
RETURNING true
