//! Operations at random, by three owners on two keys, against the [model](super::model).

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};

use super::bench::{LONG, NONE};
use super::model::Model;
use crate::idempotency::{
    Abandon, Begin, BeginRequest, Claim, Fenced, Fingerprint, LeaseExpiry, OwnerId, RecordKey,
    Store, StoredOutcome,
};
use crate::rng;
use crate::sim::store_contract::Bench;

const KEYS: usize = 2;
const OWNERS: u8 = 3;

/// Something to do to a store; see [`operations`].
#[derive(Clone, Debug)]
pub struct Operation {
    key: usize,
    action: Action,
}

#[derive(Clone, Debug)]
enum Action {
    Begin { owner: u8, ask: Ask },
    Renew { claim: Which, lease: Length },
    MarkEffects { claim: Which },
    Complete { claim: Which, outcome: Option<u16>, keep: Length },
    Release { claim: Which },
    GiveUp { claim: Which },
    Forget,
    Purge,
}

/// A claim by how many were granted after it: mostly the latest.
#[derive(Clone, Copy, Debug)]
struct Which(usize);

#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) fingerprint: u8,
    pub(super) lease: Length,
    pub(super) retention: Length,
    pub(super) max_attempts: u32,
    pub(super) takeover: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Length {
    /// Over at once.
    None,
    /// Beyond the end of the test.
    Long,
}

/// What the model says of a `begin`. A claim is its number.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    Acquired { claim: usize, attempt: u32 },
    InProgress { attempt: u32 },
    Completed(u16),
    Indeterminate,
    Mismatch,
}

impl Length {
    fn duration(self) -> std::time::Duration {
        if self == Self::Long { LONG } else { NONE }
    }
}

/// Up to 40 operations, for [`agrees_with_the_model`].
pub fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let operation = (0..KEYS, action()).prop_map(|(key, action)| Operation { key, action });
    vec(operation, 1..40)
}

fn action() -> impl Strategy<Value = Action> {
    let length = || prop_oneof![2 => Just(Length::Long), 1 => Just(Length::None)];
    let claim = || prop_oneof![4 => Just(0), 1 => 1..4_usize].prop_map(Which);
    let ask = (any_of(1, 9), length(), length(), 1..5_u32, any_of(1, 4)).prop_map(
        |(other, lease, retention, max_attempts, stop)| Ask {
            fingerprint: u8::from(other),
            lease,
            retention,
            max_attempts,
            takeover: !stop,
        },
    );
    prop_oneof![
        8 => (0..OWNERS, ask).prop_map(|(owner, ask)| Action::Begin { owner, ask }),
        2 => (claim(), length()).prop_map(|(claim, lease)| Action::Renew { claim, lease }),
        1 => claim().prop_map(|claim| Action::MarkEffects { claim }),
        2 => (claim(), any::<Option<u16>>(), length())
            .prop_map(|(claim, outcome, keep)| Action::Complete { claim, outcome, keep }),
        1 => claim().prop_map(|claim| Action::Release { claim }),
        1 => claim().prop_map(|claim| Action::GiveUp { claim }),
        1 => Just(Action::Forget),
        1 => Just(Action::Purge),
    ]
}

/// True in `yes` of `yes + no` draws.
fn any_of(yes: u32, no: u32) -> impl Strategy<Value = bool> {
    prop_oneof![yes => Just(true), no => Just(false)]
}

/// Runs the operations on keys of their own and compares every answer, and what is there after it,
/// with the model's.
///
/// # Panics
///
/// Where they differ, or the store fails.
pub async fn agrees_with_the_model<S: Store>(bench: &Bench<S>, operations: &[Operation]) {
    let mut trials: Vec<Trial> = (0..KEYS).map(|_| Trial::new()).collect();
    for (step, operation) in operations.iter().enumerate() {
        let trial = &mut trials[operation.key];
        trial.run(bench, &operation.action).await.unwrap_or_else(|difference| {
            panic!("after step {step} of {operations:#?}: {difference}")
        });
    }
}

/// One key, with its model and all claims on it that were ever granted.
struct Trial {
    key: RecordKey,
    owners: [OwnerId; OWNERS as usize],
    claims: Vec<Claim>,
    model: Model,
}

impl Trial {
    fn new() -> Self {
        let key = Fingerprint::of(rng::identifier().to_be_bytes());
        Self {
            key: RecordKey::from_bytes(*key.as_bytes()),
            owners: std::array::from_fn(|_| OwnerId::random()),
            claims: Vec::new(),
            model: Model::default(),
        }
    }

    async fn run<S: Store>(&mut self, bench: &Bench<S>, action: &Action) -> Result<(), String> {
        if let Action::Begin { owner, ask } = action {
            self.begin(bench, *owner, *ask).await?;
        } else {
            self.write(bench, action).await?;
        }
        let seen = bench.inspect(&self.key).await;
        let seen = seen.map(|s| (s.state, s.attempt, s.effects, Some(s.fence)));
        let fence_of = |claim: usize| self.claims.get(claim).map(|claim| claim.fence);
        let wanted = self.model.inspect().map(|(s, a, e, claim)| (s, a, e, fence_of(claim)));
        same(&seen, &wanted)
    }

    async fn begin<S: Store>(
        &mut self,
        bench: &Bench<S>,
        owner: u8,
        ask: Ask,
    ) -> Result<(), String> {
        let mut request = BeginRequest::new(
            self.key,
            Fingerprint::of([ask.fingerprint]),
            self.owners[usize::from(owner)],
            ask.lease.duration(),
            ask.retention.duration(),
        );
        request.max_attempts = ask.max_attempts;
        if !ask.takeover {
            request.on_lease_expiry = LeaseExpiry::Indeterminate;
        }
        let answer = match bench.begin(&request).await {
            Begin::Acquired(claim) => self.granted(claim)?,
            Begin::InProgress { attempt, .. } => Answer::InProgress { attempt },
            Begin::Completed(outcome) => {
                let payload = payload(outcome.tag);
                if outcome.payload.as_ref().is_some_and(|bytes| *bytes != payload) {
                    return Err(format!("the payload of {outcome:?} is another one"));
                }
                Answer::Completed(outcome.tag)
            }
            Begin::Indeterminate => Answer::Indeterminate,
            Begin::Mismatch => Answer::Mismatch,
        };
        same(&answer, &self.model.begin(owner, ask))
    }

    /// The number of a claim: of one that is known, or of a new one with a greater fence.
    fn granted(&mut self, claim: Claim) -> Result<Answer, String> {
        let attempt = claim.attempt;
        if let Some(known) = self.claims.iter().position(|known| *known == claim) {
            return Ok(Answer::Acquired { claim: known, attempt });
        }
        if let Some(last) = self.claims.last().filter(|last| last.fence >= claim.fence) {
            return Err(format!("{claim:?} after {last:?}: the fence is not greater"));
        }
        self.claims.push(claim);
        Ok(Answer::Acquired { claim: self.claims.len() - 1, attempt })
    }

    async fn write<S: Store>(&mut self, bench: &Bench<S>, action: &Action) -> Result<(), String> {
        let store = &bench.store;
        let last = self.claims.len();
        let number = |claim: &Which| last.checked_sub(1 + claim.0);
        let (answer, wanted) = match action {
            Action::Begin { .. } => return Ok(()),
            Action::Forget => {
                let there_was = store.forget(&self.key).await.expect("an answer");
                return same(&there_was, &self.model.forget());
            }
            Action::Purge => {
                store.purge_expired(100).await.expect("an answer");
                return Ok(());
            }
            Action::Renew { claim, lease } => {
                let Some(n) = number(claim) else { return Ok(()) };
                let answer = store.renew(&self.claims[n], lease.duration()).await;
                (answer, self.model.renew(n, *lease))
            }
            Action::MarkEffects { claim } => {
                let Some(n) = number(claim) else { return Ok(()) };
                (store.mark_effects(&self.claims[n]).await, self.model.mark_effects(n))
            }
            Action::Complete { claim, outcome, keep } => {
                let Some(n) = number(claim) else { return Ok(()) };
                let stored = outcome.map_or(StoredOutcome::tombstone(0), |tag| {
                    StoredOutcome::new(tag, payload(tag))
                });
                let answer = store.complete(&self.claims[n], stored, keep.duration()).await;
                (answer, self.model.complete(n, *outcome, *keep))
            }
            Action::Release { claim } => {
                let Some(n) = number(claim) else { return Ok(()) };
                let answer = store.abandon(&self.claims[n], Abandon::Release).await;
                (answer, self.model.release(n))
            }
            Action::GiveUp { claim } => {
                let Some(n) = number(claim) else { return Ok(()) };
                let answer = store.abandon(&self.claims[n], Abandon::Indeterminate).await;
                (answer, self.model.give_up(n))
            }
        };
        same(&(answer.expect("an answer") == Fenced::Applied), &wanted)
    }
}

fn payload(tag: u16) -> Vec<u8> {
    tag.to_be_bytes().repeat(usize::from(tag % 7))
}

fn same<T: std::fmt::Debug + PartialEq>(store: &T, model: &T) -> Result<(), String> {
    if store == model {
        return Ok(());
    }
    Err(format!("the store says {store:?}, the model {model:?}"))
}
