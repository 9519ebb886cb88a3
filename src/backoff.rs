//! Exponential growth with a cap, and jitter that stays inside it.

use std::time::Duration;

use crate::config::{ConfigError, check};
use crate::rng::Rng;

/// `min(cap, base * 2^(step - 1))` for step 1, 2, 3 and so on, saturating at any step.
pub(crate) fn exponential(base: Duration, cap: Duration, step: u32) -> Duration {
    let factor = 1u32.checked_shl(step.saturating_sub(1)).unwrap_or(u32::MAX);
    let grown = base.saturating_mul(factor);
    // A shift of 31 multiplies by 2^31; from there on only the cap can be meant.
    if step > 32 { if base.is_zero() { base } else { cap } } else { grown.min(cap) }
}

/// Equal jitter: half of the delay is kept, the other half is drawn.
///
/// The form for a circuit's open time: full jitter could draw 0 and probe a service that was
/// found dead a microsecond ago. Source: Brooker, "Exponential Backoff And Jitter", AWS
/// Architecture Blog, 2015.
pub(crate) fn equal_jitter(delay: Duration, rng: &mut Rng) -> Duration {
    rng.between(delay / 2, delay)
}

/// How the delays before further attempts are spread out.
///
/// Clients that failed together must not come back together. Source of the forms and of their
/// names: Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Jitter {
    /// Anything from 0 to the delay. Spreads best.
    #[default]
    Full,
    /// At least half of the delay.
    Equal,
    /// From the base to three times the delay before, whatever the step.
    Decorrelated,
    /// The delay itself. For a single client, and for tests.
    None,
}

/// How long to wait before further attempts: exponential growth up to a cap, with jitter.
///
/// An attempt waits `base`, then twice that, then four times, and never longer than `cap`. Jitter
/// is applied inside the cap: every delay is from 0 to `cap`.
///
/// It is an iterator of delays, one sequence for each call that is retried:
///
/// ```
/// use std::time::Duration;
/// use buttress::retry::{Backoff, Jitter};
///
/// let backoff = Backoff::exponential(Duration::from_millis(50), Duration::from_millis(300))
///     .jitter(Jitter::None);
/// let millis: Vec<_> = backoff.into_iter().take(4).map(|delay| delay.as_millis()).collect();
/// assert_eq!(millis, [50, 100, 200, 300]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backoff {
    /// The first delay, before jitter.
    pub base: Duration,
    /// The longest delay, jitter included.
    pub cap: Duration,
    /// How delays are spread out. Default: [`Jitter::Full`].
    pub jitter: Jitter,
    /// The shortest delay, jitter included. Default: 0.
    pub at_least: Duration,
}

impl Backoff {
    /// From `base` up to `cap`, with full jitter.
    #[must_use]
    pub const fn exponential(base: Duration, cap: Duration) -> Self {
        Self { base, cap, jitter: Jitter::Full, at_least: Duration::ZERO }
    }

    /// Spreads the delays in this way.
    #[must_use]
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// Waits so long at least, where jitter would draw less.
    #[must_use]
    pub const fn at_least(mut self, delay: Duration) -> Self {
        self.at_least = delay;
        self
    }

    /// One sequence of delays, which the seed repeats draw for draw.
    #[must_use]
    pub fn seeded(self, seed: u64) -> Delays {
        Delays { backoff: self, steps: Steps::default(), rng: Rng::new(Some(seed)) }
    }

    /// The next delay of a sequence.
    pub(crate) fn next(&self, steps: &mut Steps, rng: &mut Rng) -> Drawn {
        // Where the bounds are crossed, which no builder lets through, the cap holds.
        let (base, least) = (self.base.min(self.cap), self.at_least.min(self.cap));
        steps.taken = steps.taken.saturating_add(1);
        let grown = exponential(base, self.cap, steps.taken);
        let (low, high) = match self.jitter {
            Jitter::Full => (Duration::ZERO, grown),
            Jitter::Equal => (grown / 2, grown),
            Jitter::Decorrelated => {
                let previous = steps.previous.unwrap_or(base);
                // The bound is capped and not the draw, which would pile up at the cap.
                (base, previous.saturating_mul(3).min(self.cap))
            }
            Jitter::None => (grown, grown),
        };
        let delay = rng.between(low, high).max(least);
        #[cfg(mutant = "jitter-beyond-the-cap")]
        let delay = delay.saturating_add(delay / 10);
        steps.previous = Some(delay);
        Drawn { floor: low.max(least), delay }
    }

    /// Judges the settings under these names.
    pub(crate) fn check(&self, [base, at_least]: [&'static str; 2]) -> Result<(), ConfigError> {
        check(self.base <= self.cap, base, self.base, "at most the cap")?;
        check(self.at_least <= self.cap, at_least, self.at_least, "at most the cap")
    }
}

impl IntoIterator for Backoff {
    type Item = Duration;
    type IntoIter = Delays;

    /// One sequence of delays, seeded by the operating system.
    fn into_iter(self) -> Delays {
        Delays { backoff: self, steps: Steps::default(), rng: Rng::new(None) }
    }
}

/// A delay, and the least that could have been drawn in its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drawn {
    pub(crate) floor: Duration,
    pub(crate) delay: Duration,
}

/// How far a sequence of delays has come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Steps {
    taken: u32,
    previous: Option<Duration>,
}

/// A sequence of delays of a [`Backoff`]. Endless.
#[derive(Debug)]
pub struct Delays {
    backoff: Backoff,
    steps: Steps,
    rng: Rng,
}

impl Iterator for Delays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.backoff.next(&mut self.steps, &mut self.rng).delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);
    const JITTERS: [Jitter; 4] = [Jitter::Full, Jitter::Equal, Jitter::Decorrelated, Jitter::None];

    #[test]
    fn doubles_up_to_the_cap_at_any_step() {
        let cap = 60 * SECOND;
        let delays: Vec<_> = (1..=8).map(|k| exponential(SECOND, cap, k).as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60]);
        for step in [31, 32, 33, 34, 64, 100_000, u32::MAX] {
            assert_eq!(exponential(SECOND, cap, step), cap, "step {step}");
            assert_eq!(exponential(Duration::ZERO, cap, step), Duration::ZERO);
        }
        assert_eq!(exponential(SECOND, Duration::MAX, 0), SECOND);
    }

    #[test]
    fn equal_jitter_keeps_at_least_half() {
        let mut rng = Rng::new(Some(3));
        for _ in 0..1000 {
            let jittered = equal_jitter(SECOND, &mut rng);
            assert!(SECOND / 2 <= jittered && jittered <= SECOND);
        }
    }

    #[test]
    fn each_jitter_draws_from_its_own_range() {
        let backoff = Backoff::exponential(SECOND, 64 * SECOND);
        for seed in 0..200 {
            let mut full = backoff.seeded(seed);
            let mut equal = backoff.jitter(Jitter::Equal).seeded(seed);
            let mut decorrelated = backoff.jitter(Jitter::Decorrelated).seeded(seed);
            let mut previous = SECOND;
            for step in 1..=9 {
                let grown = exponential(SECOND, 64 * SECOND, step);
                assert!(full.next().unwrap() <= grown);
                let drawn = equal.next().unwrap();
                assert!(grown / 2 <= drawn && drawn <= grown);
                let drawn = decorrelated.next().unwrap();
                assert!(SECOND <= drawn && drawn <= (3 * previous).min(64 * SECOND));
                previous = drawn;
            }
        }
    }

    #[test]
    fn the_draws_fill_their_range() {
        let mean = |jitter, skip| {
            let backoff = Backoff::exponential(SECOND, 8 * SECOND).jitter(jitter);
            let drawn = (0..4000).map(|seed| backoff.seeded(seed).nth(skip).unwrap().as_secs_f64());
            drawn.sum::<f64>() / 4000.0
        };
        // Half of 4 s; 3/4 of 4 s; the middle of 1 s to 3 s.
        assert!((mean(Jitter::Full, 2) - 2.0).abs() < 0.1);
        assert!((mean(Jitter::Equal, 2) - 3.0).abs() < 0.1);
        assert!((mean(Jitter::Decorrelated, 0) - 2.0).abs() < 0.1);
        // From 1 s to three times that: the middle of 1 s and 6 s.
        assert!((mean(Jitter::Decorrelated, 1) - 3.4).abs() < 0.15);
    }

    #[test]
    fn a_seed_repeats_a_sequence_and_two_without_one_differ() {
        let backoff = Backoff::exponential(SECOND, 60 * SECOND);
        let first = |delays: Delays| delays.take(20).collect::<Vec<_>>();
        assert_eq!(first(backoff.seeded(7)), first(backoff.seeded(7)));
        assert_ne!(first(backoff.seeded(7)), first(backoff.seeded(8)));
        assert_ne!(first(backoff.into_iter()), first(backoff.into_iter()));
    }

    #[test]
    fn at_least_holds_inside_the_cap() {
        let backoff = Backoff::exponential(SECOND, 4 * SECOND).at_least(SECOND / 2);
        assert!((0..500).all(|seed| backoff.seeded(seed).take(5).all(|delay| delay >= SECOND / 2)));
        let crossed = backoff.at_least(9 * SECOND);
        assert!(crossed.seeded(1).take(5).all(|delay| delay == 4 * SECOND));
    }

    proptest! {
        #[test]
        fn every_delay_is_from_0_to_the_cap(
            base in any::<Duration>(),
            cap in any::<Duration>(),
            least in prop_oneof![Just(Duration::ZERO), any::<Duration>()],
            seed in any::<u64>(),
        ) {
            for jitter in JITTERS {
                let backoff = Backoff::exponential(base, cap).jitter(jitter).at_least(least);
                prop_assert!(backoff.seeded(seed).take(70).all(|delay| delay <= cap));
            }
        }
    }

    #[test]
    fn every_delay_is_from_0_to_the_cap_up_to_attempt_100_000() {
        let durations =
            [Duration::ZERO, Duration::from_nanos(1), SECOND / 20, SECOND, Duration::MAX];
        for jitter in JITTERS {
            for base in durations {
                for cap in durations {
                    let backoff = Backoff::exponential(base, cap).jitter(jitter);
                    assert!(backoff.seeded(1).take(100_000).all(|delay| delay <= cap));
                }
            }
        }
    }
}
