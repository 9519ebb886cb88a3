-- $1 how many at most. now() is the start of the transaction, so nothing goes early, and unlike
-- clock_timestamp() it can be looked up in an index. A claim that holds its row is left alone.
WITH gone AS MATERIALIZED (
    SELECT key_hash FROM idempotency_records WHERE expires_at <= now()
    LIMIT $1 FOR UPDATE SKIP LOCKED
)
DELETE FROM idempotency_records AS r USING gone WHERE r.key_hash = gone.key_hash RETURNING true
