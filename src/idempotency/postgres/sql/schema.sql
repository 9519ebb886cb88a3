-- May be run any number of times, by several at once.
DO $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('idempotency_records'));
    IF to_regclass('idempotency_records') IS NOT NULL THEN
        RETURN;
    END IF;
    CREATE SEQUENCE idempotency_fences AS bigint;
    CREATE TABLE idempotency_records (
        key_hash    bytea PRIMARY KEY CHECK (octet_length(key_hash) = 32),
        fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
        -- 0 in flight, 1 completed, 2 indeterminate, 3 tombstone
        state       smallint NOT NULL CHECK (state BETWEEN 0 AND 3),
        owner       uuid NOT NULL,
        fence       bigint NOT NULL,
        attempt     bigint NOT NULL,
        effects     boolean NOT NULL,
        lease_until timestamptz NOT NULL,
        expires_at  timestamptz NOT NULL,
        created_at  timestamptz NOT NULL,
        format      smallint,
        tag         integer,
        payload     bytea
    ) WITH (fillfactor = 80);
    CREATE INDEX idempotency_records_expires_at ON idempotency_records (expires_at);
    -- Answers are compressed already, or are small.
    ALTER TABLE idempotency_records ALTER payload SET STORAGE EXTERNAL;
END
$$;
