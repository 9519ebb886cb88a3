-- $1 key, $2 fingerprint, $3 owner, $4 lease and $5 retention in seconds, $6 max_attempts,
-- $7 whether a lapsed lease is taken over. No row: the record is not to be had, and the next
-- statement says why; until the end of the transaction it is locked, so that it still is then.
INSERT INTO idempotency_records AS r (key_hash, fingerprint, state, owner, fence, attempt, effects,
    lease_until, expires_at, created_at)
VALUES ($1, $2, 0, $3, nextval('idempotency_fences'), 1, false,
    clock_timestamp() + $4 * interval '1 second',
    clock_timestamp() + greatest($4, $5) * interval '1 second', clock_timestamp())
ON CONFLICT (key_hash) DO UPDATE SET (fingerprint, state, owner, fence, attempt, effects,
    lease_until, expires_at, created_at, format, tag, payload) = (
    SELECT EXCLUDED.fingerprint,
        CASE verdict WHEN 'ended' THEN 2 ELSE 0 END,
        CASE verdict WHEN 'ended' THEN r.owner ELSE EXCLUDED.owner END,
        -- Drawn under the lock. EXCLUDED's was drawn before, and others may have come in between.
        CASE WHEN verdict IN ('first', 'next')
            THEN greatest(nextval('idempotency_fences'), r.fence + 1) ELSE r.fence END,
        CASE verdict WHEN 'first' THEN 1 WHEN 'next' THEN r.attempt + 1 ELSE r.attempt END,
        verdict <> 'first' AND r.effects,
        CASE verdict WHEN 'ended' THEN r.lease_until ELSE now + lease END,
        CASE verdict
            WHEN 'first' THEN now + greatest(lease, retention)
            WHEN 'ended' THEN greatest(r.expires_at, now + retention)
            ELSE greatest(r.expires_at, now + lease, now + retention) END,
        CASE verdict WHEN 'first' THEN now ELSE r.created_at END,
        NULL::smallint, NULL::integer, NULL::bytea
    FROM (SELECT clock_timestamp() AS now, $4 * interval '1 second' AS lease,
            $5 * interval '1 second' AS retention) AS times,
        LATERAL (SELECT CASE
            WHEN r.expires_at <= now THEN 'first'
            WHEN r.owner = EXCLUDED.owner THEN 'again'
            WHEN r.effects OR NOT $7 OR r.attempt >= $6 THEN 'ended'
            ELSE 'next' END AS verdict) AS judged)
WHERE r.expires_at <= clock_timestamp()
    OR (r.state = 0 AND r.fingerprint = EXCLUDED.fingerprint
        AND (r.owner = EXCLUDED.owner OR r.lease_until <= clock_timestamp()))
RETURNING state, fence, attempt
