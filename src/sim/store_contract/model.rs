//! A plain model of the records under one key, for times that are either long or none.

use super::random::{Answer, Ask, Length};
use crate::idempotency::RecordState;

/// A record lasts, or is gone at once. So does a lease.
#[derive(Debug)]
struct Record {
    fingerprint: u8,
    claim: usize,
    owner: u8,
    attempt: u32,
    effects: bool,
    leased: bool,
    state: RecordState,
    outcome: u16,
}

/// The record, if any, and how many claims were granted. Claims are told apart by their number.
#[derive(Debug, Default)]
pub(super) struct Model {
    record: Option<Record>,
    granted: usize,
}

impl Model {
    pub(super) fn begin(&mut self, owner: u8, ask: Ask) -> Answer {
        let lasts = ask.retention == Length::Long || ask.lease == Length::Long;
        let leased = ask.lease == Length::Long;
        let Some(record) = &mut self.record else {
            let (claim, fingerprint) = (self.granted, ask.fingerprint);
            let (state, attempt, effects) = (RecordState::InFlight, 1, false);
            self.granted += 1;
            self.record = lasts.then_some(Record {
                fingerprint,
                claim,
                owner,
                attempt,
                effects,
                leased,
                state,
                outcome: 0,
            });
            return Answer::Acquired { claim, attempt };
        };
        if record.fingerprint != ask.fingerprint {
            return Answer::Mismatch;
        }
        match record.state {
            RecordState::Completed | RecordState::Tombstone => {
                return Answer::Completed(record.outcome);
            }
            RecordState::Indeterminate => return Answer::Indeterminate,
            RecordState::InFlight => {}
        }
        if record.owner != owner {
            if record.leased {
                return Answer::InProgress { attempt: record.attempt };
            }
            if record.effects || !ask.takeover || record.attempt >= ask.max_attempts {
                record.state = RecordState::Indeterminate;
                return Answer::Indeterminate;
            }
            (record.owner, record.claim, record.attempt) =
                (owner, self.granted, record.attempt + 1);
            self.granted += 1;
        }
        record.leased = leased;
        Answer::Acquired { claim: record.claim, attempt: record.attempt }
    }

    /// What the claim holds, if it still does in one of these states.
    fn of(&mut self, claim: usize, states: &[RecordState]) -> Option<&mut Record> {
        self.record.as_mut().filter(|r| r.claim == claim && states.contains(&r.state))
    }

    pub(super) fn renew(&mut self, claim: usize, lease: Length) -> bool {
        let held = self.of(claim, &[RecordState::InFlight]);
        held.map(|record| record.leased = lease == Length::Long).is_some()
    }

    pub(super) fn mark_effects(&mut self, claim: usize) -> bool {
        self.of(claim, &[RecordState::InFlight]).map(|record| record.effects = true).is_some()
    }

    pub(super) fn complete(&mut self, claim: usize, outcome: Option<u16>, keep: Length) -> bool {
        if self.of(claim, &[RecordState::Completed, RecordState::Tombstone]).is_some() {
            return true;
        }
        let Some(record) = self.of(claim, &[RecordState::InFlight]) else { return false };
        record.outcome = outcome.unwrap_or_default();
        record.state = outcome.map_or(RecordState::Tombstone, |_| RecordState::Completed);
        if keep == Length::None {
            self.record = None;
        }
        true
    }

    pub(super) fn release(&mut self, claim: usize) -> bool {
        let held = self.of(claim, &[RecordState::InFlight]).is_some();
        if held {
            self.record = None;
        }
        held
    }

    pub(super) fn give_up(&mut self, claim: usize) -> bool {
        let held = self.of(claim, &[RecordState::InFlight, RecordState::Indeterminate]);
        held.map(|record| record.state = RecordState::Indeterminate).is_some()
    }

    pub(super) fn forget(&mut self) -> bool {
        self.record.take().is_some()
    }

    /// State, attempt, effects, and the claim that holds it.
    pub(super) fn inspect(&self) -> Option<(RecordState, u32, bool, usize)> {
        self.record.as_ref().map(|r| (r.state, r.attempt, r.effects, r.claim))
    }
}
