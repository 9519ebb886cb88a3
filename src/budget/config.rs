//! [`BudgetConfig`]: the settings as data, for configuration files.

use std::time::Duration;

use crate::budget::ONE;
use crate::config::{ConfigError, check};

/// The settings of a [`Budget`](super::Budget): its kind, and what belongs to that. With feature
/// `serde`, readable from a file.
///
/// ```
/// use buttress::retry::{Budget, BudgetConfig};
///
/// let budget = Budget::from(BudgetConfig::InFlight { ratio: 0.2, at_least: 3 });
/// assert_eq!(budget.available(), 3.0);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum BudgetConfig {
    /// Against the original calls of the last while: [`Budget::ratio`](super::Budget::ratio).
    Ratio {
        /// Further attempts for each original call. 0.0001 to 100.
        ratio: f64,
        /// How long an original call counts. 100 ms to 24 h.
        per: Duration,
        /// Further attempts for each second of `per` that are there in any case.
        at_least: u32,
    },
    /// Against the original calls in flight: [`Budget::in_flight`](super::Budget::in_flight).
    InFlight {
        /// Further attempts in flight for each original call in flight. 0.0001 to 100.
        ratio: f64,
        /// Further attempts that may be in flight in any case.
        at_least: u32,
    },
    /// Against a count of failures: [`Budget::tokens`](super::Budget::tokens).
    Tokens {
        /// The tokens when full. 1 to 1,000,000.
        max: u32,
        /// What a success adds. 0.0001 to 100.
        ratio: f64,
        /// What a transient failure takes. At most `max`.
        transient_cost: u32,
        /// What an overload takes. At most `max`.
        overload_cost: u32,
    },
}

impl Default for BudgetConfig {
    /// 0.2 for each original call of the last 10 s, and at least 10 per second.
    fn default() -> Self {
        Self::Ratio { ratio: 0.2, per: Duration::from_secs(10), at_least: 10 }
    }
}

const LARGEST_MAX: u32 = 1_000_000;
// Below it, what counts the turns of the window would come round within years.
const SHORTEST_PER: Duration = Duration::from_millis(100);
const LONGEST_PER: Duration = Duration::from_secs(24 * 60 * 60);

impl BudgetConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        match *self {
            Self::Ratio { ratio, per, .. } => {
                check_ratio(ratio)?;
                let bounds = SHORTEST_PER..=LONGEST_PER;
                check(bounds.contains(&per), "budget.per", per, "100 ms to 24 h")
            }
            Self::InFlight { ratio, .. } => check_ratio(ratio),
            Self::Tokens { max, ratio, transient_cost, overload_cost } => {
                let bounds = 1..=LARGEST_MAX;
                check(bounds.contains(&max), "budget.max", max, "1 to 1,000,000")?;
                check_ratio(ratio)?;
                let cost = |setting, cost| check(cost <= max, setting, cost, "at most max");
                cost("budget.transient_cost", transient_cost)?;
                cost("budget.overload_cost", overload_cost)?;
                let costs = (transient_cost, overload_cost);
                check(costs != (0, 0), "budget.costs", costs, "at least one that is not 0")
            }
        }
    }
}

/// Outside of these bounds a ratio rounds to nothing, or is a slip of the pen. NaN is neither.
fn check_ratio(ratio: f64) -> Result<(), ConfigError> {
    check((0.0001..=100.0).contains(&ratio), "budget.ratio", ratio, "0.0001 to 100")
}

/// A ratio in units of 1 / [`ONE`]: 0.3 is 3,000 of them, exactly. Nonsense becomes some number;
/// [`BudgetConfig::check`] is there to refuse it.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(super) fn units(ratio: f64) -> u32 {
    ((ratio * f64::from(ONE)).round() as u32).min(100 * u32::from(ONE))
}

/// `at_least` in each second of `per`, in units.
pub(super) fn floor(at_least: u32, per: Duration) -> i64 {
    const NANOS: u128 = 1_000_000_000;
    let per = per.min(LONGEST_PER).as_nanos();
    let units = u128::from(at_least) * per * u128::from(ONE) / NANOS;
    i64::try_from(units).unwrap_or(i64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_decimals_are_exact() {
        for n in 1..=1_000_000 {
            assert_eq!(units(f64::from(n) / 10_000.0), n);
        }
        assert_eq!((units(0.1 + 0.2), units(1.0 / 3.0)), (3_000, 3_333));
        assert_eq!((units(f64::NAN), units(-1.0), units(1e300)), (0, 0, 1_000_000));
    }

    #[test]
    fn the_floor_is_for_the_whole_time() {
        assert_eq!(floor(10, Duration::from_secs(10)), 1_000_000);
        assert_eq!(floor(10, Duration::from_millis(1_500)), 150_000);
        assert_eq!(floor(1, Duration::from_millis(10)), 100);
        assert!(floor(u32::MAX, Duration::MAX) > 0);
    }
}
