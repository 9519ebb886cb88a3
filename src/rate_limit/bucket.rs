//! [`Bucket`]: one bucket that all threads charge.

use crate::rate_limit::state::Short;
use crate::sync::{AtomicU64, Ordering};

/// The theoretical arrival time of the generic cell rate algorithm: when the bucket is full again,
/// in nanoseconds of the layer's time.
///
/// One number, so nothing is ordered by it but itself: `Relaxed` does.
#[derive(Debug, Default)]
pub(super) struct Bucket(AtomicU64);

/// What a charge has made of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charged {
    pub(super) before: u64,
    pub(super) after: u64,
}

impl Charged {
    /// Charges a bucket that is full at `before`. `act` is handed its debt, and says what it owes then.
    #[inline(always)]
    pub(super) fn at(
        before: u64,
        now: u64,
        act: impl FnOnce(u64) -> Result<u64, Short>,
    ) -> Result<Self, Short> {
        let now = if cfg!(mutant = "burst-never-capped") { now.min(before) } else { now };
        Ok(Self { before, after: now.saturating_add(act(before.saturating_sub(now))?) })
    }

    /// Where the bucket stands if the charge is taken back, which can be done only while nobody has
    /// come after it: whoever has was promised a turn behind this one.
    pub(super) fn undone(self, full_at: u64) -> Option<u64> {
        (full_at == self.after).then_some(self.before)
    }
}

impl Bucket {
    /// Charges the bucket as [`Charged::at`], where `act` may run several times.
    #[inline(always)]
    pub(super) fn charge(
        &self,
        now: u64,
        mut act: impl FnMut(u64) -> Result<u64, Short>,
    ) -> Result<Charged, Short> {
        let mut full_at = self.0.load(Ordering::Relaxed);
        loop {
            let charged = Charged::at(full_at, now, &mut act)?;
            let swapped = self.0.compare_exchange_weak(
                full_at,
                charged.after,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match swapped {
                Ok(_) => return Ok(charged),
                Err(seen) => full_at = seen,
            }
        }
    }

    pub(super) fn undo(&self, charged: Charged) -> bool {
        let Charged { before, after } = charged;
        self.0.compare_exchange(after, before, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    pub(super) fn debt(&self, now: u64) -> u64 {
        self.0.load(Ordering::Relaxed).saturating_sub(now)
    }
}
