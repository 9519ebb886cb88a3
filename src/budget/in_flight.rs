//! [`InFlight`]: further attempts in flight against original calls in flight.

use crate::budget::ONE;
use crate::sync::stripes::{Padded, Stripes};
use crate::sync::{AtomicU64, Ordering};

/// Counts both; nothing in it depends on time.
#[derive(Debug)]
pub(super) struct InFlight {
    originals: Stripes<Originals>,
    further: Padded<AtomicU64>,
    /// In units of 1 / [`ONE`] attempt.
    ratio: u64,
    at_least: u64,
}

/// Two counts that only grow. Whoever reads all arrivals before the first departure counts nobody
/// who had left by then: a sum over stripes that is never too high, though it is no snapshot.
#[derive(Debug, Default)]
struct Originals {
    entered: AtomicU64,
    left: AtomicU64,
}

impl InFlight {
    pub(super) fn new(ratio: u32, at_least: u32) -> Self {
        Self {
            originals: Stripes::default(),
            further: Padded(AtomicU64::new(0)),
            ratio: ratio.into(),
            at_least: at_least.into(),
        }
    }

    #[inline(always)]
    pub(super) fn enter(&self) {
        // Release: whoever sees this arrival sees all departures that came before it.
        self.originals.mine().entered.fetch_add(1, Ordering::Release);
    }

    #[inline(always)]
    pub(super) fn leave(&self) {
        self.originals.mine().left.fetch_add(1, Ordering::Relaxed);
    }

    /// Starts one further attempt if that keeps them within the limit.
    pub(super) fn withdraw(&self) -> bool {
        let limit = self.limit();
        #[cfg(mutant = "in-flight-budget-off-by-one")]
        let limit = limit + u64::from(ONE);
        let mut further = self.further.0.load(Ordering::Relaxed);
        while (further + 1).saturating_mul(ONE.into()) <= limit {
            match self.further.0.compare_exchange_weak(
                further,
                further + 1,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(found) => further = found,
            }
        }
        false
    }

    /// A further attempt is over.
    pub(super) fn end(&self) {
        self.further.0.fetch_sub(1, Ordering::AcqRel);
    }

    /// How many units of further attempts could start now.
    pub(super) fn balance(&self) -> u64 {
        let further = self.further.0.load(Ordering::Acquire);
        self.limit().saturating_sub(further.saturating_mul(ONE.into()))
    }

    fn limit(&self) -> u64 {
        let one = u64::from(ONE);
        self.originals().saturating_mul(self.ratio).max(self.at_least * one)
    }

    fn originals(&self) -> u64 {
        let entered: u64 = self.originals.iter().map(|o| o.entered.load(Ordering::Acquire)).sum();
        let left: u64 = self.originals.iter().map(|o| o.left.load(Ordering::Relaxed)).sum();
        entered.saturating_sub(left)
    }
}
