//! The one source of chance: a small generator for each layer value, reached only on slow paths.
//!
//! Seeded by the operating system, or by a builder's `.seed(u64)`, with which a run repeats draw
//! for draw. Not for secrets, and not for [identifiers](identifier): those of two replicas with one
//! seed, or of a process and its fork, would be the same.

use std::fmt;
use std::time::Duration;

use rand::rngs::{SmallRng, SysRng};
use rand::{RngExt, SeedableRng, TryRng};

/// 128 bits of the operating system, for a name that must be nobody else's. Panics where the
/// operating system has none, as making an [`Rng`] does.
#[allow(dead_code, reason = "identifiers are drawn by the leaves alone")]
pub(crate) fn identifier() -> u128 {
    let mut bytes = [0; 16];
    SysRng.try_fill_bytes(&mut bytes).expect("random bytes of the operating system");
    u128::from_ne_bytes(bytes)
}

/// Draws for jitter and for partial admission.
pub(crate) struct Rng(SmallRng);

impl Rng {
    /// From the seed where there is one, else from the operating system.
    pub(crate) fn new(seed: Option<u64>) -> Self {
        Self(seed.map_or_else(rand::make_rng, SmallRng::seed_from_u64))
    }

    /// Uniform in `[0, 1)`.
    pub(crate) fn fraction(&mut self) -> f64 {
        self.0.random()
    }

    /// Uniform over all words: a seed for another.
    #[allow(dead_code, reason = "of the simulator")]
    pub(crate) fn bits(&mut self) -> u64 {
        self.0.random()
    }

    /// Uniform in `[0, end)`.
    #[allow(dead_code, reason = "of the simulator")]
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0.random_range(..end)
    }

    /// Uniform in `[low, high]`; `low` where the bounds are crossed.
    pub(crate) fn between(&mut self, low: Duration, high: Duration) -> Duration {
        if low < high { self.0.random_range(low..=high) } else { low }
    }
}

impl fmt::Debug for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rng")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_draws_and_two_unseeded_ones_differ() {
        let draws = |seed| {
            let mut rng = Rng::new(seed);
            (0..8).map(|_| rng.fraction().to_bits()).collect::<Vec<_>>()
        };
        assert_eq!(draws(Some(7)), draws(Some(7)));
        assert_ne!(draws(None), draws(None));
    }

    #[test]
    fn between_stays_between() {
        let mut rng = Rng::new(Some(1));
        let (low, high) = (Duration::from_millis(3), Duration::from_millis(5));
        for _ in 0..1000 {
            let drawn = rng.between(low, high);
            assert!(low <= drawn && drawn <= high);
        }
        assert_eq!(rng.between(high, low), high);
        assert_eq!(rng.between(low, Duration::MAX).cmp(&low), std::cmp::Ordering::Greater);
    }
}
