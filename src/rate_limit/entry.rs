//! How a call gets past: at once, in its turn, or not at all.

use std::sync::Arc;
use std::time::Duration;

use crate::admission::Permit;
use crate::deadline::Deadline;
use crate::observe::{EventKind, Stage};
use crate::rate_limit::state::{Shared, Short};
use crate::rate_limit::turn::{Turn, Wait};
use crate::rate_limit::{Buckets, FindBucket, FindCost};
use crate::rejected::{Reason, Rejected};
use crate::time::{self, Instant};

/// What asking came to.
pub(super) enum Entry<K: Buckets> {
    Admitted(Permit<Shared>),
    Waiting(Turn<K>),
    Refused(Rejected),
}

/// A permit, or a refusal.
#[inline(always)]
pub(super) fn try_enter<Req, K, C>(
    shared: &Arc<Shared>,
    buckets: &K,
    cost: &C,
    request: &Req,
) -> Result<Permit<Shared>, Rejected>
where
    K: FindBucket<Req>,
    C: FindCost<Req>,
{
    let cost = cost.find_cost(request).unwrap_or(shared.cost);
    // The one read of the clock: the rate is made of time.
    let now = time::now();
    match buckets.charge(request, shared.nanos(now), |debt| shared.meter.charge(debt, cost)) {
        Ok(_) => Ok(Shared::admit(shared, Stage::Arriving, now, Duration::ZERO)),
        Err(short) => refuse_unless_in_shadow(shared, now, short),
    }
}

/// A permit, a turn, or a refusal. The deadline is looked for only on the slow path.
#[inline(always)]
pub(super) fn enter_or_wait<Req, K, C>(
    shared: &Arc<Shared>,
    buckets: &Arc<K>,
    cost: &C,
    request: &Req,
    deadline: impl FnOnce() -> Option<Deadline>,
) -> Entry<K>
where
    K: FindBucket<Req>,
    C: FindCost<Req>,
{
    let cost = cost.find_cost(request).unwrap_or(shared.cost);
    // The one read of the clock: the rate is made of time.
    let now = time::now();
    let charge = |debt| shared.meter.charge(debt, cost);
    match buckets.charge(request, shared.nanos(now), charge) {
        Ok(_) => Entry::Admitted(Shared::admit(shared, Stage::Arriving, now, Duration::ZERO)),
        Err(_) => wait(shared, buckets, cost, request, now, deadline()),
    }
}

/// A turn, if it is due before the wait is over.
#[cold]
fn wait<Req, K: FindBucket<Req>>(
    shared: &Arc<Shared>,
    buckets: &Arc<K>,
    cost: u32,
    request: &Req,
    now: Instant,
    deadline: Option<Deadline>,
) -> Entry<K> {
    let longest = shared.max_wait.unwrap_or_default();
    let own = (time::later(now, longest), Reason::QueueTimedOut);
    let until = deadline.map_or(own, |deadline| deadline.or_sooner(own));
    let patience = until.0.saturating_duration_since(now);
    let patience = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
    // A turn at the very deadline comes too late.
    let patience = patience.saturating_sub(u64::from(until.1 == Reason::DeadlineExceeded));
    let mut due_in = 0;
    let charge = |debt| {
        let (owes, wait) = shared.meter.charge_ahead(debt, cost, patience)?;
        due_in = wait;
        Ok(owes)
    };
    let charged = match buckets.charge(request, shared.nanos(now), charge) {
        Ok(charged) => charged,
        Err(short) => {
            return match refuse_unless_in_shadow(shared, now, short) {
                Ok(permit) => Entry::Admitted(permit),
                Err(rejected) => Entry::Refused(rejected),
            };
        }
    };
    if due_in == 0 || shared.shadow {
        return Entry::Admitted(Shared::admit(shared, Stage::Arriving, now, Duration::ZERO));
    }
    let due = time::later(now, Duration::from_nanos(due_in));
    let wait = Wait { since: now, due, until, deadline };
    // Owned by the turn from here on, before any observer runs.
    let turn = Turn::new(shared.clone(), buckets.clone(), buckets.spot(request), charged, wait);
    shared.emitter.emit(Stage::Arriving, EventKind::Queued);
    Entry::Waiting(turn)
}

#[inline(always)]
fn refuse_unless_in_shadow(
    shared: &Arc<Shared>,
    now: Instant,
    short: Short,
) -> Result<Permit<Shared>, Rejected> {
    if shared.shadow { Ok(admit_in_shadow(shared, now)) } else { Err(shared.refuse(short)) }
}

#[cold]
fn admit_in_shadow(shared: &Arc<Shared>, now: Instant) -> Permit<Shared> {
    shared.emitter.emit(Stage::Arriving, EventKind::WouldReject(Reason::RateLimited));
    Shared::admit(shared, Stage::Arriving, now, Duration::ZERO)
}
