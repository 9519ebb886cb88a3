-- $1 key
DELETE FROM idempotency_records WHERE key_hash = $1 RETURNING expires_at > clock_timestamp() AS was_there
