//! One record as a pure machine: handed the time, it owns neither clock nor lock.
//!
//! The memory store runs it. The statements and scripts of the other stores say the same in their
//! own languages, and one contract suite holds all of them to it.

use std::time::Duration;

use crate::idempotency::store::{
    Abandon, Begin, BeginRequest, Fenced, LeaseExpiry, RecordState, Snapshot, StoredOutcome,
};
use crate::idempotency::{Claim, Fence, Fingerprint, OwnerId};
use crate::time::{Instant, later};

/// What is known under one key.
#[derive(Clone, Debug)]
pub(super) struct Record {
    fingerprint: Fingerprint,
    owner: OwnerId,
    fence: Fence,
    attempt: u32,
    effects: bool,
    state: State,
    expires_at: Instant,
}

#[derive(Clone, Debug)]
enum State {
    InFlight {
        lease_until: Instant,
    },
    /// Completed where there is a payload, else a tombstone.
    Ended(StoredOutcome),
    Indeterminate,
}

impl Record {
    /// The first claim under a key: of one that has no record, or whose record has
    /// [expired](Self::is_expired).
    pub(super) fn first(request: &BeginRequest, now: Instant, fence: Fence) -> (Self, Begin) {
        let retention =
            if cfg!(mutant = "lease-is-retention") { Duration::ZERO } else { request.retention };
        let record = Self {
            fingerprint: request.fingerprint,
            owner: request.owner,
            fence,
            attempt: 1,
            effects: false,
            state: State::InFlight { lease_until: later(now, request.lease) },
            expires_at: later(now, retention.max(request.lease)),
        };
        let acquired = record.acquired(request);
        (record, acquired)
    }

    /// A claim on a record that has not expired. `fence` is asked only for a takeover, and must be
    /// greater than all before.
    pub(super) fn begin(
        &mut self,
        request: &BeginRequest,
        now: Instant,
        fence: impl FnOnce() -> Fence,
    ) -> Begin {
        if request.fingerprint != self.fingerprint {
            return Begin::Mismatch;
        }
        let lease_until = match &self.state {
            State::Ended(outcome) => return Begin::Completed(outcome.clone()),
            State::Indeterminate => return Begin::Indeterminate,
            State::InFlight { lease_until } => *lease_until,
        };
        // Who repeats a `begin` has its claim already: a new fence would shut it out itself, and a
        // forgotten mark would let its effects happen twice.
        if request.owner != self.owner {
            if lease_until > now {
                let lease_remaining = lease_until - now;
                return Begin::InProgress { lease_remaining, attempt: self.attempt };
            }
            let may_take_over = request.on_lease_expiry == LeaseExpiry::Takeover;
            let effects = self.effects && !cfg!(mutant = "effects-forgotten-at-takeover");
            if effects || !may_take_over || self.attempt >= request.max_attempts {
                self.state = State::Indeterminate;
                self.lasts_until(later(now, request.retention));
                return Begin::Indeterminate;
            }
            self.owner = request.owner;
            self.fence = fence();
            self.attempt += 1;
        } else if cfg!(mutant = "repeated-begin-takes-a-new-fence") {
            self.fence = fence();
        }
        let lease_until = later(now, request.lease);
        self.state = State::InFlight { lease_until };
        self.lasts_until(later(now, request.retention).max(lease_until));
        self.acquired(request)
    }

    pub(super) fn renew(&mut self, claim: &Claim, lease: Duration, now: Instant) -> Fenced {
        if !self.is_held_by(claim) {
            return Fenced::Lost;
        }
        let lease_until = later(now, lease);
        self.state = State::InFlight { lease_until };
        // A call longer than the retention keeps its record while it runs.
        self.lasts_until(lease_until);
        Fenced::Applied
    }

    pub(super) fn mark_effects(&mut self, claim: &Claim) -> Fenced {
        if !self.is_held_by(claim) {
            return Fenced::Lost;
        }
        self.effects = true;
        Fenced::Applied
    }

    pub(super) fn complete(
        &mut self,
        claim: &Claim,
        outcome: StoredOutcome,
        retention: Duration,
        now: Instant,
    ) -> Fenced {
        match self.state {
            State::InFlight { .. } if self.is_of(claim) => {
                self.state = State::Ended(outcome);
                self.expires_at = later(now, retention);
                Fenced::Applied
            }
            // The answer to the first was lost on its way.
            State::Ended(_) if self.is_of(claim) => Fenced::Applied,
            _ => Fenced::Lost,
        }
    }

    /// After [`Abandon::Release`] has been applied, the record is to be deleted.
    pub(super) fn abandon(&mut self, claim: &Claim, how: Abandon) -> Fenced {
        let repeated = matches!(self.state, State::Indeterminate) && self.is_of(claim);
        match how {
            Abandon::Indeterminate if repeated => Fenced::Applied,
            _ if !self.is_held_by(claim) => Fenced::Lost,
            Abandon::Indeterminate => {
                self.state = State::Indeterminate;
                Fenced::Applied
            }
            Abandon::Release => Fenced::Applied,
        }
    }

    pub(super) fn snapshot(&self, now: Instant) -> Snapshot {
        let left = |until: Instant| until.saturating_duration_since(now);
        let (state, lease, outcome) = match &self.state {
            State::InFlight { lease_until } => {
                (RecordState::InFlight, Some(left(*lease_until)), None)
            }
            State::Ended(outcome) if outcome.payload.is_some() => {
                (RecordState::Completed, None, Some(outcome))
            }
            State::Ended(outcome) => (RecordState::Tombstone, None, Some(outcome)),
            State::Indeterminate => (RecordState::Indeterminate, None, None),
        };
        let mut snapshot = Snapshot::new(state, self.attempt, self.fence, left(self.expires_at));
        snapshot.effects = self.effects;
        snapshot.lease_remaining = lease;
        snapshot.tag = outcome.map(|outcome| outcome.tag);
        snapshot.payload_len =
            outcome.and_then(|outcome| outcome.payload.as_ref()).map_or(0, bytes::Bytes::len);
        snapshot
    }

    /// Forgets the answer, not that there was one: for a store that runs out of room. Says how
    /// long it was.
    pub(super) fn demote(&mut self) -> usize {
        let length = self.answer_len();
        if let State::Ended(outcome) = &mut self.state {
            outcome.payload = None;
        }
        length
    }

    pub(super) fn answer_len(&self) -> usize {
        match &self.state {
            State::Ended(StoredOutcome { payload: Some(payload), .. }) => payload.len(),
            _ => 0,
        }
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        self.expires_at <= now
    }

    /// Whether somebody else's `begin` would be told that it is in progress.
    pub(super) fn is_leased(&self, now: Instant) -> bool {
        matches!(self.state, State::InFlight { lease_until } if lease_until > now)
    }

    pub(super) fn is_held_by(&self, claim: &Claim) -> bool {
        matches!(self.state, State::InFlight { .. }) && self.is_of(claim)
    }

    pub(super) fn expires_at(&self) -> Instant {
        self.expires_at
    }

    fn acquired(&self, request: &BeginRequest) -> Begin {
        Begin::Acquired(Claim::new(request.key, self.owner, self.fence, self.attempt))
    }

    fn lasts_until(&mut self, at: Instant) {
        self.expires_at = self.expires_at.max(at);
    }

    fn is_of(&self, claim: &Claim) -> bool {
        (self.owner, self.fence) == (claim.owner, claim.fence)
    }
}
