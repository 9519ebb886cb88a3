//! [`Store`]: where the records are, and what everybody agrees on about them.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

use crate::error::BoxError;
use crate::idempotency::{Claim, Fence, Fingerprint, OwnerId, RecordKey};
use crate::time;

/// Keeps the records. [`MemoryStore`](super::MemoryStore) for one process; `RedisStore` and
/// `PostgresStore` for many, behind the features of that name.
///
/// A store of your own keeps this contract, and the suite `buttress::sim::store_contract` (feature
/// `sim`) tells whether it does:
///
/// - Each operation is atomic, and has happened, to whatever durability the store is configured
///   for, before it answers.
/// - Only the store's clock decides. A record is gone once its retention is over, and a lease has
///   lapsed once its time has come, to the instant.
/// - [`begin`](Self::begin) compares the fingerprint before anything else, and may be repeated by
///   the same owner: it gets the same claim again, with its fence and whether its effects had
///   begun, and a lease that starts anew.
/// - [`renew`](Self::renew), [`mark_effects`](Self::mark_effects), [`complete`](Self::complete) and
///   [`abandon`](Self::abandon) write only where the record is in flight and both owner and fence
///   are those of the claim; otherwise they answer [`Fenced::Lost`] and change nothing. `complete`
///   repeated by the claim that has completed answers [`Fenced::Applied`].
/// - Nothing is deleted because of an error.
pub trait Store: Send + Sync + 'static {
    /// Asks for the right to run a request.
    ///
    /// | the record | the answer |
    /// | --- | --- |
    /// | absent, or its retention is over | `Acquired`, attempt 1 |
    /// | of another fingerprint | `Mismatch` |
    /// | completed, or a tombstone | `Completed` |
    /// | indeterminate | `Indeterminate` |
    /// | in flight, of the same owner | `Acquired`, as before |
    /// | in flight, lease runs | `InProgress` |
    /// | in flight, lease lapsed, and effects had begun, the attempts are used up, or [`LeaseExpiry::Indeterminate`] | becomes indeterminate: `Indeterminate` |
    /// | in flight, lease lapsed | `Acquired`, attempt + 1, with a greater fence |
    fn begin(
        &self,
        request: BeginRequest,
    ) -> impl Future<Output = Result<Begin, StoreError>> + Send;

    /// Extends the lease to this long from now. The record lasts at least as long.
    fn renew(
        &self,
        claim: &Claim,
        lease: Duration,
    ) -> impl Future<Output = Result<Fenced, StoreError>> + Send;

    /// Notes that the effects of the request may have begun: nobody takes over after that.
    fn mark_effects(
        &self,
        claim: &Claim,
    ) -> impl Future<Output = Result<Fenced, StoreError>> + Send;

    /// Keeps the outcome, for as long as `retention` from now.
    fn complete(
        &self,
        claim: &Claim,
        outcome: StoredOutcome,
        retention: Duration,
    ) -> impl Future<Output = Result<Fenced, StoreError>> + Send;

    /// Gives the claim up.
    fn abandon(
        &self,
        claim: &Claim,
        how: Abandon,
    ) -> impl Future<Output = Result<Fenced, StoreError>> + Send;

    /// What there is under a key: for those who wait, for operators and for tests.
    fn inspect(
        &self,
        key: &RecordKey,
    ) -> impl Future<Output = Result<Option<Snapshot>, StoreError>> + Send;

    /// Deletes a record whatever its state, and says whether there was one. A tool for operators:
    /// a request that runs under it will have lost its claim.
    fn forget(&self, key: &RecordKey) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Removes up to `max` records whose retention is over, and says how many. Default: the store
    /// does so by itself.
    fn purge_expired(&self, max: usize) -> impl Future<Output = Result<usize, StoreError>> + Send {
        let _ = max;
        async { Ok(0) }
    }

    /// Waits until the record may have changed. A hint: whoever waits asks again afterwards.
    /// Default: 100 ms.
    fn changed(&self, key: &RecordKey) -> impl Future<Output = ()> + Send {
        let _ = key;
        async { time::sleep_until(time::later(time::now(), Duration::from_millis(100))).await }
    }

    /// What the store is good for.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
}

/// What [`Store::begin`] is asked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BeginRequest {
    /// The record.
    pub key: RecordKey,
    /// What is asked for under it.
    pub fingerprint: Fingerprint,
    /// Who asks. The same for each repetition of one `begin`.
    pub owner: OwnerId,
    /// How long the claim holds without a [`renew`](Store::renew).
    pub lease: Duration,
    /// How long the record lasts at least. Never shorter than the lease.
    pub retention: Duration,
    /// How many executions there may be under one key. Default: 5.
    pub max_attempts: u32,
    /// What becomes of a claim whose lease has lapsed. Default: the next one takes over.
    pub on_lease_expiry: LeaseExpiry,
    /// What the outcome may take at most, for stores that set memory aside for it. Default: 0.
    pub reserve_bytes: usize,
}

impl BeginRequest {
    /// A request with the defaults for the rest.
    #[must_use]
    pub fn new(
        key: RecordKey,
        fingerprint: Fingerprint,
        owner: OwnerId,
        lease: Duration,
        retention: Duration,
    ) -> Self {
        Self {
            key,
            fingerprint,
            owner,
            lease,
            retention,
            max_attempts: 5,
            on_lease_expiry: LeaseExpiry::Takeover,
            reserve_bytes: 0,
        }
    }
}

/// What [`Store::begin`] answers. Exhaustive: whoever asks has to deal with each.
#[derive(Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Begin {
    /// The request is to be run, by the one who asked.
    Acquired(Claim),
    /// Somebody runs it.
    InProgress {
        /// What is left of the holder's lease.
        lease_remaining: Duration,
        /// The number of the holder's execution.
        attempt: u32,
    },
    /// It has run: this came of it.
    Completed(StoredOutcome),
    /// It may have run, and nobody can say what came of it.
    Indeterminate,
    /// The key was used for another request.
    Mismatch,
}

/// Whether a write by a claim counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[allow(clippy::exhaustive_enums)]
pub enum Fenced {
    /// It did.
    Applied,
    /// It did not: the claim is no longer the one that holds the record.
    Lost,
}

/// How a claim is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Abandon {
    /// The record is deleted: the next request with the key is a new one, whatever its body.
    Release,
    /// Nobody knows what came of it: no request with the key runs until the retention is over.
    Indeterminate,
}

/// What becomes of a claim whose holder has not been heard of for the length of its lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum LeaseExpiry {
    /// The next request with the key runs. It may be the second to have the effect: for handlers
    /// that can find out, or that mark where their effects begin.
    #[default]
    Takeover,
    /// Nobody runs it again.
    Indeterminate,
}

/// What came of a request, as it is kept.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredOutcome {
    /// The version of the encoding of the payload. A reader that does not know it must not guess.
    pub format: u8,
    /// A number for it that needs no payload: the HTTP status.
    pub tag: u16,
    /// The encoded answer; `None` is a tombstone: it ran, and the answer was not kept.
    pub payload: Option<Bytes>,
}

impl StoredOutcome {
    /// The encoding that this version of the crate writes.
    pub const FORMAT: u8 = 1;

    /// An outcome with its answer.
    #[must_use]
    pub fn new(tag: u16, payload: impl Into<Bytes>) -> Self {
        Self { format: Self::FORMAT, tag, payload: Some(payload.into()) }
    }

    /// An outcome whose answer is not kept.
    #[must_use]
    pub const fn tombstone(tag: u16) -> Self {
        Self { format: Self::FORMAT, tag, payload: None }
    }
}

/// Says how long the payload is, not what: answers hold what is nobody else's business.
impl fmt::Debug for StoredOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.payload.as_ref().map(Bytes::len);
        write!(f, "StoredOutcome({}, {length:?} bytes, format {})", self.tag, self.format)
    }
}

/// The state of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecordState {
    /// Somebody runs the request, or did when last heard of.
    InFlight,
    /// It has run, and its answer is kept.
    Completed,
    /// It may have run.
    Indeterminate,
    /// It has run, and its answer is not kept.
    Tombstone,
}

/// A record at one moment, without what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Its state.
    pub state: RecordState,
    /// The number of the execution that holds it, or held it last.
    pub attempt: u32,
    /// The fence of that execution.
    pub fence: Fence,
    /// Whether that execution had marked its effects.
    pub effects: bool,
    /// What is left of the lease, while in flight: 0 once it has lapsed.
    pub lease_remaining: Option<Duration>,
    /// What is left of the retention.
    pub expires_in: Duration,
    /// The length of the payload; 0 where there is none.
    pub payload_len: usize,
    /// The tag of the outcome, where there is one.
    pub tag: Option<u16>,
}

impl Snapshot {
    /// A snapshot of a record in this state, for stores: set the rest as it is.
    #[must_use]
    pub const fn new(state: RecordState, attempt: u32, fence: Fence, expires_in: Duration) -> Self {
        Self {
            state,
            attempt,
            fence,
            effects: false,
            lease_remaining: None,
            expires_in,
            payload_len: 0,
            tag: None,
        }
    }
}

/// What a store is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Whether several processes can share its records. Default: no.
    pub shared: bool,
    /// Whether records outlive the process that runs the store. Default: no.
    pub durable: bool,
    /// Whether somebody has said that one process is all there is, so that a store that is not
    /// shared is no mistake. Default: no.
    pub single_instance: bool,
    /// The longest payload that it takes, in bytes. Default: any.
    pub max_payload: usize,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self { shared: false, durable: false, single_instance: false, max_payload: usize::MAX }
    }
}

/// Why a store could not answer.
///
/// Its text is for operators. No layer ever shows it to a client.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// It could not be reached, or the connection broke: the operation may have been applied. A
    /// `begin` may be repeated with the same owner, and everything else with the same claim.
    Unavailable(BoxError),
    /// It did not answer in this time: the operation may have been applied.
    Timeout(Duration),
    /// It has no room for another record.
    Full,
    /// The outcome is longer than it takes.
    TooLarge {
        /// The length of the payload.
        size: usize,
        /// What it takes.
        max: usize,
    },
    /// A record makes no sense.
    Corrupt(BoxError),
    /// A record was written in a format of another version of this crate.
    UnsupportedFormat(u8),
    /// The store is not set up as it has to be.
    Misconfigured(String),
}

impl StoreError {
    /// Whether the same operation may do better in a moment.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Timeout(_))
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(_) => f.write_str("the store cannot be reached"),
            Self::Timeout(after) => write!(f, "the store did not answer within {after:?}"),
            Self::Full => f.write_str("the store is full"),
            Self::TooLarge { size, max } => {
                write!(f, "an outcome of {size} bytes, where the store takes {max}")
            }
            Self::Corrupt(_) => f.write_str("a stored record makes no sense"),
            Self::UnsupportedFormat(format) => {
                write!(f, "a stored record in format {format}, which this version does not know")
            }
            Self::Misconfigured(what) => {
                write!(f, "the store is not set up as it has to be: {what}")
            }
        }
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Unavailable(cause) | Self::Corrupt(cause) => Some(&**cause),
            _ => None,
        }
    }
}
