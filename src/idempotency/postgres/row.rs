//! What the statements answer, read with suspicion: a record may have been written by anybody.

use std::time::Duration;

use bytes::Bytes;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::idempotency::{
    Begin, BeginRequest, Claim, Fence, RecordState, Snapshot, StoreError, StoredOutcome,
};

/// Of the claim and of the look that follows it. `None` where there is no record after all.
pub(super) fn begin(
    claimed: &[Row],
    seen: &[Row],
    request: &BeginRequest,
) -> Result<Option<Begin>, StoreError> {
    if let Some(row) = claimed.first() {
        if state(row)? == RecordState::Indeterminate {
            return Ok(Some(Begin::Indeterminate));
        }
        let (fence, attempt) = (fence(row)?, number::<i64, _>(row, "attempt")?);
        let claim = Claim::new(request.key, request.owner, fence, attempt);
        return Ok(Some(Begin::Acquired(claim)));
    }
    let Some(row) = seen.first() else { return Ok(None) };
    if !get::<bool>(row, "same")? {
        return Ok(Some(Begin::Mismatch));
    }
    Ok(Some(match state(row)? {
        RecordState::InFlight => {
            let lease_remaining = seconds(row, "lease_left")?;
            Begin::InProgress { lease_remaining, attempt: number::<i64, _>(row, "attempt")? }
        }
        RecordState::Indeterminate => Begin::Indeterminate,
        RecordState::Completed | RecordState::Tombstone => {
            let payload = get::<Option<&[u8]>>(row, "payload")?.map(Bytes::copy_from_slice);
            let format = number::<i16, _>(row, "format")?;
            Begin::Completed(StoredOutcome { format, tag: number::<i32, _>(row, "tag")?, payload })
        }
    }))
}

pub(super) fn snapshot(row: &Row) -> Result<Snapshot, StoreError> {
    let (state, fence) = (state(row)?, fence(row)?);
    let attempt = number::<i64, _>(row, "attempt")?;
    let mut snapshot = Snapshot::new(state, attempt, fence, seconds(row, "retention_left")?);
    snapshot.effects = get(row, "effects")?;
    snapshot.payload_len = number::<i32, _>(row, "payload_length")?;
    match state {
        RecordState::InFlight => snapshot.lease_remaining = Some(seconds(row, "lease_left")?),
        RecordState::Completed | RecordState::Tombstone => {
            snapshot.tag = Some(number::<i32, _>(row, "tag")?);
        }
        RecordState::Indeterminate => {}
    }
    Ok(snapshot)
}

fn state(row: &Row) -> Result<RecordState, StoreError> {
    Ok(match get::<i16>(row, "state")? {
        0 => RecordState::InFlight,
        1 => RecordState::Completed,
        2 => RecordState::Indeterminate,
        3 => RecordState::Tombstone,
        other => return Err(StoreError::Corrupt(format!("a record in state {other}").into())),
    })
}

fn fence(row: &Row) -> Result<Fence, StoreError> {
    Ok(Fence::new(number::<i64, _>(row, "fence")?))
}

fn seconds(row: &Row, column: &str) -> Result<Duration, StoreError> {
    Duration::try_from_secs_f64(get(row, column)?)
        .map_err(|error| StoreError::Corrupt(error.into()))
}

/// A column of type `C` that has to fit an `N`.
fn number<'r, C: FromSql<'r>, N: TryFrom<C>>(row: &'r Row, column: &str) -> Result<N, StoreError> {
    let nonsense = |_| StoreError::Corrupt(format!("a record with a nonsensical {column}").into());
    N::try_from(get::<C>(row, column)?).map_err(nonsense)
}

pub(super) fn get<'r, T: FromSql<'r>>(row: &'r Row, column: &str) -> Result<T, StoreError> {
    row.try_get(column).map_err(|error| StoreError::Corrupt(error.into()))
}
