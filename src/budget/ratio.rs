//! [`Ratio`]: further attempts against original calls over a window of time.

use std::time::Duration;

use crate::budget::ring::{Ring, SPAN};
use crate::sync::stripes::Stripes;
use crate::sync::{AtomicU64, Ordering};
use crate::time::Instant;

/// The balance of a window, and in front of it the deposits that have not reached it yet.
///
/// A deposit is one addition to a word that few threads write. Each stripe keeps its deposits back
/// until they are a *stride*, and only then reads the clock. What it kept back counts as paid in
/// when it last read the clock: older than it is, never younger, so that no rounding lets more
/// pass. A stride is a 64th of what the stripe saw in this window, so no more than that is ever
/// dated inexactly, and sparse deposits never are. Whoever withdraws collects all stripes first.
///
/// Times are epochs, counted from the start.
#[derive(Debug)]
pub(super) struct Ratio {
    stripes: Stripes<Pending>,
    ring: Ring,
    /// What an original call pays in, in units.
    each: i64,
    start: Instant,
    width: u64,
}

impl Ratio {
    /// `ratio` and `floor` in units of 1/10,000 attempt.
    pub(super) fn new(ratio: u32, per: Duration, floor: i64, start: Instant) -> Self {
        let per = u64::try_from(per.as_nanos()).unwrap_or(u64::MAX);
        Self {
            stripes: Stripes::default(),
            ring: Ring::new(floor),
            each: ratio.into(),
            start,
            width: per.div_ceil(SPAN).max(1),
        }
    }

    pub(super) fn epoch(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.start).as_nanos();
        u64::try_from(elapsed).unwrap_or(u64::MAX) / self.width
    }

    /// An original call. Asks for the time once in a stride.
    #[inline(always)]
    pub(super) fn deposit(&self, now: impl FnOnce() -> u64) {
        self.deposit_to(self.stripes.mine(), now);
    }

    #[inline(always)]
    fn deposit_to(&self, stripe: &Pending, now: impl FnOnce() -> u64) {
        if stripe.add() {
            self.settle(stripe, now());
        }
    }

    /// Pays in what a stripe kept back, now that it is a stride.
    #[cold]
    fn settle(&self, stripe: &Pending, now: u64) {
        let Kept { calls, since } = stripe.take(now);
        // The last of them came no earlier than the call that got here.
        let Some(earlier) = calls.checked_sub(1) else { return };
        if since == now {
            return self.ring.deposit(now, self.worth(calls));
        }
        if earlier > 0 {
            self.ring.deposit(since, self.worth(earlier));
        }
        self.ring.deposit(now, self.each);
    }

    /// Takes one further attempt if it is affordable. Gives what [`refund`](Self::refund) wants.
    pub(super) fn withdraw(&self, now: u64) -> Option<u64> {
        self.collect(now);
        self.ring.withdraw(now)
    }

    pub(super) fn refund(&self, booked: u64) {
        self.ring.refund(booked);
    }

    /// What is left, in units.
    pub(super) fn balance(&self, now: u64) -> i64 {
        self.collect(now);
        self.ring.balance(now)
    }

    fn collect(&self, now: u64) {
        for stripe in self.stripes.iter().filter(|stripe| !stripe.is_up_to_date(now)) {
            let Kept { calls, since } = stripe.take(now);
            if calls > 0 {
                self.ring.deposit(since, self.worth(calls));
            }
        }
    }

    fn worth(&self, calls: u64) -> i64 {
        self.each.saturating_mul(i64::try_from(calls).unwrap_or(i64::MAX))
    }

    #[cfg(any(test, fuzzing, buttress_fuzz))]
    pub(super) fn deposit_from(&self, thread: usize, now: u64) {
        self.deposit_to(self.stripes.iter().cycle().nth(thread).unwrap(), || now);
    }

    #[cfg(any(test, fuzzing, buttress_fuzz))]
    pub(super) fn settled(&self) -> (i64, i64) {
        self.ring.settled()
    }
}

/// The deposits that one stripe keeps back.
#[derive(Debug)]
struct Pending {
    /// Since when (44 bits), the stride as a power of two (4 bits), and a count (16 bits) that
    /// starts a stride below [`FULL`]: one bit tells that the stride is complete.
    word: AtomicU64,
    /// When the present window began (40 bits) and how many deposits it saw (24 bits). Written by
    /// whoever just took the deposits; an update lost to another costs a longer or shorter stride.
    seen: AtomicU64,
}

/// What was kept back, and since when at the earliest.
struct Kept {
    calls: u64,
    since: u64,
}

const COUNT: u64 = (1 << 16) - 1;
const FULL: u64 = 1 << 15;
const STRIDE: u32 = 16;
const SINCE: u32 = 20;
const LONGEST_STRIDE: u32 = 8;
/// A stride is this part of the deposits in a window.
const PART: u64 = 64;

const SEEN_FROM: u32 = 24;
const SEEN: u64 = (1 << SEEN_FROM) - 1;

impl Default for Pending {
    fn default() -> Self {
        Self { word: AtomicU64::new(Self::empty(0, 0)), seen: AtomicU64::new(0) }
    }
}

impl Pending {
    /// Counts one more. Tells whether the stride is complete.
    #[inline(always)]
    fn add(&self) -> bool {
        // 2^15 threads would have to be here at once for the count to reach the next field.
        (self.word.fetch_add(1, Ordering::Relaxed) + 1) & FULL != 0
    }

    /// Whether nothing is kept back, and what comes next will be dated `now`.
    fn is_up_to_date(&self, now: u64) -> bool {
        let word = self.word.load(Ordering::Relaxed);
        word == Self::empty(now, Self::stride(word))
    }

    fn take(&self, now: u64) -> Kept {
        let (from, seen) = self.seen(now);
        let stride = (seen / PART).max(1).ilog2().min(LONGEST_STRIDE);
        let word = self.word.swap(Self::empty(now, stride), Ordering::AcqRel);
        let calls = (word & COUNT) + (1 << Self::stride(word)) - FULL;
        let seen = (seen + calls).min(SEEN);
        self.seen.store(from << SEEN_FROM | seen, Ordering::Relaxed);
        Kept { calls, since: word >> SINCE }
    }

    fn seen(&self, now: u64) -> (u64, u64) {
        let word = self.seen.load(Ordering::Relaxed);
        let (from, seen) = (word >> SEEN_FROM, word & SEEN);
        if now.saturating_sub(from) < SPAN { (from, seen) } else { (now, 0) }
    }

    fn empty(since: u64, stride: u32) -> u64 {
        since << SINCE | u64::from(stride) << STRIDE | (FULL - (1 << stride))
    }

    #[allow(clippy::cast_possible_truncation)] // Four bits.
    fn stride(word: u64) -> u32 {
        (word >> STRIDE & 0xF) as u32
    }
}
