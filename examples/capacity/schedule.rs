//! When requests are due.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// How the arrivals of a step are spread over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrivals {
    /// At random within each slice of a quarter second, of which each has its exact share: callers
    /// who know nothing of each other, at a load that is what it says in every step. Drawn freely,
    /// the 400 arrivals of a step would be off by 20, and the knee with them.
    Sliced,
    /// A Poisson process, with the bursts of any length that it has.
    Poisson,
    /// One gap between all: kinder than any caller.
    Even,
}

impl Arrivals {
    pub(crate) const ALL: [Self; 3] = [Self::Sliced, Self::Poisson, Self::Even];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sliced => "sliced",
            Self::Poisson => "poisson",
            Self::Even => "even",
        }
    }
}

const SLICE: Duration = Duration::from_millis(250);

/// The times since the start of a step at which requests are due, in order.
pub(crate) fn schedule(
    arrivals: Arrivals,
    rate: f64,
    length: Duration,
    seed: u64,
) -> Vec<Duration> {
    let mut chance = SmallRng::seed_from_u64(seed);
    match arrivals {
        Arrivals::Sliced => sliced(rate, length, &mut chance),
        Arrivals::Poisson => poisson(rate, length, &mut chance),
        Arrivals::Even => {
            let due = (0_u32..).map(|index| Duration::from_secs_f64(f64::from(index) / rate));
            due.take_while(|due| *due < length).collect()
        }
    }
}

fn sliced(rate: f64, length: Duration, chance: &mut SmallRng) -> Vec<Duration> {
    let (mut due, mut start, mut owed) = (Vec::new(), Duration::ZERO, 0.0);
    while start < length {
        let width = SLICE.min(length.saturating_sub(start));
        owed += rate * width.as_secs_f64();
        let mut slice = Vec::new();
        // The fraction of an arrival that is left over goes to the next slice.
        while owed >= 1.0 {
            owed -= 1.0;
            slice.push(start + width.mul_f64(chance.random::<f64>()));
        }
        slice.sort_unstable();
        due.append(&mut slice);
        start += width;
    }
    due
}

fn poisson(rate: f64, length: Duration, chance: &mut SmallRng) -> Vec<Duration> {
    let (mut due, mut at) = (Vec::new(), Duration::ZERO);
    loop {
        let gap = -(1.0 - chance.random::<f64>()).ln() / rate;
        at += Duration::from_secs_f64(gap);
        if at >= length {
            return due;
        }
        due.push(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN_SECONDS: Duration = Duration::from_secs(10);

    #[test]
    fn a_seed_repeats_a_schedule_which_is_in_order_and_as_long_as_asked() {
        for arrivals in Arrivals::ALL {
            let drawn = |seed| schedule(arrivals, 200.0, TEN_SECONDS, seed);
            assert_eq!(drawn(1), drawn(1));
            assert_eq!(drawn(1) == drawn(2), arrivals == Arrivals::Even);
            assert!(drawn(1).is_sorted());
            assert!(drawn(1).iter().all(|due| *due < TEN_SECONDS));
            // Four standard deviations of a Poisson count.
            assert!(drawn(1).len().abs_diff(2000) <= 180, "{} of {arrivals:?}", drawn(1).len());
        }
    }

    #[test]
    fn every_slice_has_its_exact_share() {
        // Of 0.7 a slice, some have one and some have none; the sum stays exact.
        for (rate, share, all) in [(200.0, 50_usize, 2_000_usize), (2.8, 1, 28)] {
            let due = schedule(Arrivals::Sliced, rate, TEN_SECONDS, 3);
            assert!(due.len().abs_diff(all) <= 1);
            for slice in 0..40_u32 {
                let slice = SLICE * slice..SLICE * (slice + 1);
                let within = due.iter().filter(|due| slice.contains(due)).count();
                assert!(within.abs_diff(share) <= 1, "{within} in {slice:?} at {rate}/s");
            }
        }
    }

    #[test]
    fn even_arrivals_are_one_gap_apart() {
        let due = schedule(Arrivals::Even, 100.0, Duration::from_millis(35), 1);
        assert_eq!(due, [0, 10, 20, 30].map(Duration::from_millis));
    }
}
