//! `AIMDLimit`, `VegasLimit` and `Gradient2Limit` of Netflix's `concurrency-limits` (Java,
//! github.com/Netflix/concurrency-limits), with the defaults of their builders.
//!
//! Their formulas are those of `buttress`'s own `Aimd`, `Vegas` and `Gradient`, which see. What
//! differs is put back here:
//!
//! - the limits allowed: 20 to 200 for AIMD and Gradient2, 1 to 1000 for Vegas, 20 at first;
//! - Vegas takes the latency of every drop, also of a quick refusal, for a sample;
//! - Gradient2 does not look at drops: their latency is one like others.
//!
//! Simplified: Vegas draws the moment of its probes from an even sequence, not by chance. Failures
//! that are no drop are ignored, as its `onIgnore` is meant for.

use buttress::adaptive_limit::{Admitted, Aimd, Algorithm, Ended, Gradient, Outcome, Range, Vegas};

use super::bounds::narrowed;

/// One of ours, within the original's range and with its reading of drops.
pub(super) struct Original<A> {
    ours: A,
    min: usize,
    max: usize,
    drops: Drops,
}

enum Drops {
    AsOurs,
    AreSamplesToo,
    AreOnlySamples,
}

pub(super) fn aimd() -> Original<Aimd> {
    Original { ours: Aimd::new(), min: 20, max: 200, drops: Drops::AsOurs }
}

pub(super) fn vegas() -> Original<Vegas> {
    Original { ours: Vegas::new(), min: 1, max: 1000, drops: Drops::AreSamplesToo }
}

pub(super) fn gradient2() -> Original<Gradient> {
    Original { ours: Gradient::new(), min: 20, max: 200, drops: Drops::AreOnlySamples }
}

impl<A: Algorithm> Algorithm for Original<A> {
    fn begin(&mut self, range: Range) {
        self.ours.begin(narrowed(range, self.min, 20, self.max));
    }

    fn limit(&self) -> f64 {
        self.ours.limit()
    }

    fn admitted(&mut self, call: &Admitted) -> Option<u64> {
        self.ours.admitted(call)
    }

    fn ended(&mut self, call: &Ended) {
        let mut call = *call;
        call.outcome = match (&self.drops, call.outcome) {
            (Drops::AreSamplesToo, Outcome::Overloaded) => Outcome::TimedOut,
            (Drops::AreOnlySamples, Outcome::Overloaded | Outcome::TimedOut) => Outcome::Answered,
            (_, outcome) => outcome,
        };
        self.ours.ended(&call);
    }
}
