//! [`HeldCall`]: a call that lasts longer than its response future.

use std::fmt;
use std::time::Duration;

use crate::adaptive_limit::limit::{End, Shared, Ticket};
use crate::adaptive_limit::{Algorithm, Outcome};
use crate::admission::{Permit, Settle};
use crate::classify::{Class, Classify};
use crate::error::Rejectable;
use crate::rejected::Reason;
use crate::sync::anchors::Anchor;
use crate::time;

/// A slot that outlives the response future. Its call's latency is that to the head of the answer;
/// its slot is free, and its class known, at the end. Dropped unsettled, it is an abandoned call.
pub struct HeldCall<A: Algorithm, C> {
    permit: Permit<Anchor<Shared<A, C>>>,
    /// What is known at the head already.
    head: Head,
}

struct Head {
    timed_out: bool,
    latency: Option<Duration>,
}

/// Judges the outcome, and ends the call.
#[inline(always)]
pub(super) fn settle<A, C, T, E>(permit: &mut Permit<Anchor<Shared<A, C>>>, outcome: &Result<T, E>)
where
    A: Algorithm,
    C: Classify<T, E>,
    E: Rejectable,
{
    if let Some((_, Ticket::Untimed)) = permit.held_mut() {
        // Nobody asks what came of it.
        if let Some((shared, _)) = permit.release() {
            shared.end_untimed();
        }
    } else {
        settle_timed(permit, outcome);
    }
}

/// Out of line: most calls are not timed.
#[inline(never)]
fn settle_timed<A, C, T, E>(permit: &mut Permit<Anchor<Shared<A, C>>>, outcome: &Result<T, E>)
where
    A: Algorithm,
    C: Classify<T, E>,
    E: Rejectable,
{
    let Some((shared, _)) = permit.held_mut() else { return };
    // The permit is let go only after the verdict: where the judge panics, the call is abandoned.
    let class = shared.classifier.classify(outcome.as_ref());
    let end = End::of(Outcome::of(class, timed_out(outcome)));
    if let Some((shared, ticket)) = permit.release() {
        shared.end(&ticket, class, end);
    }
}

/// Whether a layer further in, or the service itself, gave up for the time it took.
fn timed_out<T, E: Rejectable>(outcome: &Result<T, E>) -> bool {
    let refusal = outcome.as_ref().err().and_then(Rejectable::rejected);
    refusal.is_some_and(|rejected| rejected.reason() == Reason::TimedOut)
}

impl<A: Algorithm, C> HeldCall<A, C> {
    /// Takes the permit out of a response future whose answer has come.
    pub(super) fn take<T, E: Rejectable>(
        permit: &mut Permit<Anchor<Shared<A, C>>>,
        outcome: &Result<T, E>,
    ) -> Self {
        let sampled = permit.held_mut().and_then(|(_, ticket)| ticket.sampled_since());
        let latency = sampled.map(|since| time::now().saturating_duration_since(since));
        Self { permit: permit.take(), head: Head { timed_out: timed_out(outcome), latency } }
    }
}

impl<A: Algorithm, C> Settle for HeldCall<A, C> {
    type Classifier = C;

    fn classifier(&self) -> &C {
        let shared = self.permit.admitter().expect("held until it is settled, which consumes it");
        &shared.classifier
    }

    fn settle(mut self, class: Class) {
        let Head { timed_out, latency } = self.head;
        if let Some((shared, ticket)) = self.permit.release() {
            shared.end(&ticket, class, End { outcome: Outcome::of(class, timed_out), latency });
        }
    }
}

impl<A: Algorithm, C> fmt::Debug for HeldCall<A, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeldCall")
    }
}
