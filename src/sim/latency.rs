//! How long a piece of work takes: a distribution, drawn from a seed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::rng::Rng;
use crate::serde::duration;

/// A distribution of durations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Latency {
    /// Always the same.
    Fixed {
        /// This long.
        #[serde(with = "duration")]
        always: Duration,
    },
    /// Anything between two bounds, equally likely.
    Uniform {
        /// The shortest.
        #[serde(with = "duration")]
        low: Duration,
        /// The longest.
        #[serde(with = "duration")]
        high: Duration,
    },
    /// Exponential: the service time of the M/M/c queue.
    Exponential {
        /// Its mean.
        #[serde(with = "duration")]
        mean: Duration,
    },
    /// Log-normal: most around the median, with a tail that grows with `sigma`.
    LogNormal {
        /// Half of all are shorter.
        #[serde(with = "duration")]
        median: Duration,
        /// The standard deviation of the logarithm: 0.5 is a mild tail, 1.5 a heavy one.
        sigma: f64,
    },
    /// Pareto: a heavy tail. The mean is infinite where `shape` is 1 or less.
    Pareto {
        /// The shortest.
        #[serde(with = "duration")]
        least: Duration,
        /// How fast the tail falls off: the smaller, the heavier.
        shape: f64,
    },
    /// One of two: a cache that is hit or missed.
    Bimodal {
        /// The usual one.
        #[serde(with = "duration")]
        usual: Duration,
        /// The other.
        #[serde(with = "duration")]
        slow: Duration,
        /// The share of the other, 0 to 1.
        share: f64,
    },
}

impl Latency {
    /// Always `always`.
    #[must_use]
    pub fn fixed(always: Duration) -> Self {
        Self::Fixed { always }
    }

    /// Anything from `low` to `high`, equally likely.
    #[must_use]
    pub fn uniform(low: Duration, high: Duration) -> Self {
        Self::Uniform { low, high }
    }

    /// Exponential with this mean.
    #[must_use]
    pub fn exponential(mean: Duration) -> Self {
        Self::Exponential { mean }
    }

    /// Log-normal with this median and standard deviation of the logarithm.
    #[must_use]
    pub fn log_normal(median: Duration, sigma: f64) -> Self {
        Self::LogNormal { median, sigma }
    }

    /// Pareto from `least` on.
    #[must_use]
    pub fn pareto(least: Duration, shape: f64) -> Self {
        Self::Pareto { least, shape }
    }

    /// `usual`, but for a `share` of `slow` ones.
    #[must_use]
    pub fn bimodal(usual: Duration, slow: Duration, share: f64) -> Self {
        Self::Bimodal { usual, slow, share }
    }

    /// The mean of the distribution: what capacity is reckoned from. `Duration::MAX` where it is
    /// infinite.
    #[must_use]
    pub fn mean(self) -> Duration {
        let seconds = match self {
            Self::Fixed { always } => return always,
            Self::Uniform { low, high } => low.as_secs_f64().midpoint(high.as_secs_f64()),
            Self::Exponential { mean } => return mean,
            Self::LogNormal { median, sigma } => median.as_secs_f64() * (sigma * sigma / 2.0).exp(),
            Self::Pareto { least, shape } if shape > 1.0 => {
                least.as_secs_f64() * shape / (shape - 1.0)
            }
            Self::Pareto { .. } => return Duration::MAX,
            Self::Bimodal { usual, slow, share } => {
                usual.as_secs_f64() * (1.0 - share) + slow.as_secs_f64() * share
            }
        };
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    /// One draw, in nanoseconds.
    pub(super) fn draw(self, rng: &mut Rng) -> f64 {
        let nanos = |duration: Duration| duration.as_secs_f64() * 1e9;
        match self {
            Self::Fixed { always } => nanos(always),
            Self::Uniform { low, high } => nanos(low) + (nanos(high) - nanos(low)) * rng.fraction(),
            Self::Exponential { mean } => nanos(mean) * exponential(rng),
            Self::LogNormal { median, sigma } => nanos(median) * (sigma * normal(rng)).exp(),
            Self::Pareto { least, shape } => nanos(least) * (exponential(rng) / shape).exp(),
            Self::Bimodal { usual, slow, share } => {
                nanos(if rng.fraction() < share { slow } else { usual })
            }
        }
    }

    /// What cannot be meant, if anything: which field, and what is allowed.
    pub(super) fn nonsense(self) -> Option<&'static str> {
        let positive = |number: f64| number.is_finite() && number > 0.0;
        let sound = match self {
            Self::Uniform { low, high } if low > high => {
                return Some("`low` at most `high`");
            }
            Self::Fixed { .. } | Self::Uniform { .. } | Self::Exponential { .. } => true,
            Self::LogNormal { sigma, .. } => sigma.is_finite() && sigma >= 0.0,
            Self::Pareto { shape, .. } => positive(shape),
            Self::Bimodal { share, .. } => (0.0..=1.0).contains(&share),
        };
        (!sound).then_some("a `sigma` of 0 or more, a `shape` above 0, a `share` from 0 to 1")
    }
}

/// A draw of mean 1.
pub(super) fn exponential(rng: &mut Rng) -> f64 {
    // 1 - [0, 1) is never 0.
    -(1.0 - rng.fraction()).ln()
}

/// A draw of mean 0 and deviation 1 (Box and Muller).
fn normal(rng: &mut Rng) -> f64 {
    let radius = (2.0 * exponential(rng)).sqrt();
    radius * (std::f64::consts::TAU * rng.fraction()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_mean_that_is_said() {
        let ms = Duration::from_millis;
        for latency in [
            Latency::fixed(ms(20)),
            Latency::uniform(ms(5), ms(15)),
            Latency::exponential(ms(20)),
            Latency::log_normal(ms(10), 0.8),
            Latency::pareto(ms(10), 3.0),
            Latency::bimodal(ms(5), ms(100), 0.1),
        ] {
            let mut rng = Rng::new(Some(7));
            let draws = 200_000;
            let sum: f64 = (0..draws).map(|_| latency.draw(&mut rng)).sum();
            let mean = sum / f64::from(draws) / 1e9;
            let said = latency.mean().as_secs_f64();
            assert!((mean / said - 1.0).abs() < 0.02, "{latency:?}: {mean} against {said}");
        }
        assert_eq!(Latency::pareto(ms(1), 1.0).mean(), Duration::MAX);
    }

    #[test]
    fn nonsense_is_found() {
        let ms = Duration::from_millis;
        assert!(Latency::uniform(ms(2), ms(1)).nonsense().is_some());
        assert!(Latency::log_normal(ms(2), f64::NAN).nonsense().is_some());
        assert!(Latency::pareto(ms(2), 0.0).nonsense().is_some());
        assert!(Latency::bimodal(ms(2), ms(3), 1.1).nonsense().is_some());
        assert!(Latency::exponential(ms(2)).nonsense().is_none());
    }
}
