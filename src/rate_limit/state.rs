//! [`Meter`]: the arithmetic of the rate, and what all services of one layer share.

use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{NotUntil, Quota, RateLimiter};

use crate::admission::{Admitter, Permit};
use crate::classify::Class;
use crate::observe::{Emitter, EventKind, Stage};
use crate::rate_limit::Standing;
use crate::rejected::{Reason, Rejected};
use crate::time::{self, Instant};

/// The generic cell rate algorithm of `governor`, handed both the time and the state.
///
/// The state of a bucket is its debt: how long, in nanoseconds, until it is full again. That is
/// governor's theoretical arrival time counted from now. So a bucket can be a number in an atomic or
/// in a map, its time that of tokio's clock, and a turn be taken before it is due.
pub(super) struct Meter {
    limiter: RateLimiter<Asked, OnTheSpot, Standstill, NoOpMiddleware<Nanos>>,
    interval: u64,
    burst: u32,
}

/// The longest wait, in nanoseconds: 146 years. So long a debt still adds up to a number.
const FAR: u64 = 1 << 62;

/// Why a bucket was not charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short {
    /// The nanoseconds until it could be, if it ever can.
    pub(super) wait: Option<u64>,
}

impl Meter {
    /// The interval is 1 ns or longer, the burst 1 or more, and their product 2^62 ns or less.
    pub(super) fn new(interval: Duration, burst: u32) -> Self {
        let burst = NonZeroU32::new(burst).expect("a burst of 1 or more");
        let quota = Quota::with_period(interval).expect("an interval longer than 0");
        let limiter = RateLimiter::new(quota.allow_burst(burst), OnTheSpot, Standstill);
        Self { limiter, interval: Nanos::from(interval).as_u64(), burst: burst.get() }
    }

    /// The debt after a call of this cost, which the bucket can afford now.
    #[inline(always)]
    pub(super) fn charge(&self, debt: u64, cost: u32) -> Result<u64, Short> {
        if cost != 1 {
            return self.charge_several(debt, cost);
        }
        let asked = Asked { debt, owes: Cell::new(debt) };
        asked.answer(&self.limiter.check_key(&asked))
    }

    /// Apart, so that the way of a call of cost 1 stays short.
    #[inline(never)]
    fn charge_several(&self, debt: u64, cost: u32) -> Result<u64, Short> {
        let Some(calls) = NonZeroU32::new(cost) else { return Ok(debt) };
        // Not governor's to judge: multiplied by the interval, it may be no number any more.
        if cost > self.burst {
            return Err(Short { wait: None });
        }
        let asked = Asked { debt, owes: Cell::new(debt) };
        match self.limiter.check_key_n(&asked, calls) {
            Ok(verdict) => asked.answer(&verdict),
            Err(_) => Err(Short { wait: None }),
        }
    }

    /// As [`charge`](Self::charge), but for a turn that may be up to so many nanoseconds off. Says
    /// also in how many it is due.
    pub(super) fn charge_ahead(
        &self,
        debt: u64,
        cost: u32,
        patience: u64,
    ) -> Result<(u64, u64), Short> {
        let wait = match self.charge(debt, cost) {
            Ok(owes) => return Ok((owes, 0)),
            Err(Short { wait: Some(wait) }) if wait <= patience.min(FAR) => wait,
            Err(short) => return Err(short),
        };
        // As it will be then, if nobody is let past.
        self.charge(debt.saturating_sub(wait), cost).map(|owes| (owes.saturating_add(wait), wait))
    }

    /// What a bucket with this debt affords.
    pub(super) fn standing(&self, debt: u64) -> Standing {
        let burst = u64::from(self.burst);
        let missing = debt.div_ceil(self.interval);
        // With more missing than a bucket holds, turns have been taken that lie ahead.
        let then = missing.min(burst).checked_sub(1);
        let more_in = then.map(|missing| Duration::from_nanos(debt - missing * self.interval));
        let available = u32::try_from(burst.saturating_sub(missing)).unwrap_or(self.burst);
        Standing { available, more_in }
    }
}

/// governor's clock. It stands still at 0, from where debts are counted.
struct Standstill;

impl Clock for Standstill {
    type Instant = Nanos;

    #[inline(always)]
    fn now(&self) -> Nanos {
        Nanos::new(0)
    }
}

/// A bucket that is asked: governor's key, which brings its own state.
#[derive(Clone, PartialEq, Eq)]
struct Asked {
    debt: u64,
    owes: Cell<u64>,
}

impl Asked {
    #[inline(always)]
    fn answer(&self, verdict: &Result<(), NotUntil<Nanos>>) -> Result<u64, Short> {
        match verdict {
            Ok(()) => Ok(self.owes.get()),
            Err(not_until) => Err(Short { wait: Some(not_until.earliest_possible().as_u64()) }),
        }
    }
}

impl Hash for Asked {
    /// Asked for by a bound of governor's, for stores that look their keys up.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.debt.hash(state);
    }
}

/// governor's store, which stores nothing: see [`Asked`].
struct OnTheSpot;

impl StateStore for OnTheSpot {
    type Key = Asked;

    #[inline(always)]
    fn measure_and_replace<T, F, E>(&self, key: &Asked, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (verdict, owes) = f(Some(Nanos::new(key.debt)))?;
        key.owes.set(owes.as_u64());
        Ok(verdict)
    }
}

/// From the one to the other, in nanoseconds.
#[inline(always)]
pub(super) fn nanos(epoch: Instant, now: Instant) -> u64 {
    let since = now.saturating_duration_since(epoch);
    since.as_secs() * 1_000_000_000 + u64::from(since.subsec_nanos())
}

/// What all services of one layer share, but for the buckets.
pub(super) struct Shared {
    pub(super) meter: Meter,
    /// What a call costs that is not given a cost of its own.
    pub(super) cost: u32,
    pub(super) max_wait: Option<Duration>,
    pub(super) shadow: bool,
    pub(super) emitter: Emitter,
    /// Where the buckets' time starts.
    pub(super) epoch: Instant,
    /// The rate as it was set.
    pub(super) rate: (u32, Duration),
}

impl Shared {
    /// The buckets' time, in nanoseconds.
    #[inline(always)]
    pub(super) fn nanos(&self, now: Instant) -> u64 {
        nanos(self.epoch, now)
    }

    /// What a bucket affords now, whose debt `at` knows.
    pub(super) fn standing(&self, at: impl FnOnce(u64) -> u64) -> Standing {
        self.meter.standing(at(self.nanos(time::now())))
    }

    /// Tells of an admission at this time. The permit holds nothing but whom to tell of the call's
    /// end.
    #[inline(always)]
    pub(super) fn admit(
        shared: &Arc<Self>,
        from: Stage,
        now: Instant,
        waited: Duration,
    ) -> Permit<Self> {
        if !shared.emitter.is_on() {
            return Permit::empty();
        }
        Self::admit_observed(shared, from, now, waited)
    }

    #[inline(never)]
    fn admit_observed(
        shared: &Arc<Self>,
        from: Stage,
        now: Instant,
        waited: Duration,
    ) -> Permit<Self> {
        let permit = Permit::new(shared.clone(), now);
        shared.emitter.emit(from, EventKind::Admitted { waited });
        permit
    }

    #[cold]
    pub(super) fn refuse(&self, short: Short) -> Rejected {
        let rejected = self.emitter.refuse(Stage::Arriving, Reason::RateLimited);
        match short.wait {
            Some(wait) => rejected.after(Duration::from_nanos(wait)),
            None => rejected,
        }
    }
}

impl Admitter for Shared {
    /// Since when the call runs.
    type Ticket = Instant;

    #[inline(always)]
    fn settle(&self, since: Instant, class: Class) {
        self.emitter.settled(since, class);
    }

    fn abandon(&self, _: Instant) {
        self.emitter.emit(Stage::InFlight, EventKind::Abandoned);
    }
}
