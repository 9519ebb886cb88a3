//! [`Floor`]: so many calls a second pass in any case.

use crate::sync::{AtomicU64, Ordering};

const SECOND: u64 = 1_000_000_000;

/// A bucket that holds the passes of one second, kept as the time at which it is full again: the
/// generic cell rate algorithm of ATM, one word and no lock. All times are nanoseconds.
#[derive(Debug)]
pub(super) struct Floor {
    full: AtomicU64,
    /// Between two passes; `None` where there are none.
    interval: Option<u64>,
}

impl Floor {
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]
    pub(super) fn new(per_second: f64) -> Self {
        // The cast saturates; a century is as good as never, and leaves room to add.
        let interval = |per_second| ((SECOND as f64 / per_second) as u64).min(1 << 62);
        let interval = (per_second > 0.0).then(|| interval(per_second));
        Self { full: AtomicU64::new(0), interval }
    }

    /// Takes a pass, where there is one at `now`.
    pub(super) fn passes(&self, now: u64) -> bool {
        let Some(interval) = self.interval else { return false };
        // With less than one a second the bucket holds one.
        let latest = now.saturating_add(interval.max(SECOND));
        let next = |full: u64| {
            let next = full.max(now).saturating_add(interval);
            (next <= latest).then_some(next)
        };
        self.full.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes_each_second(floor: &Floor, calls: u64) -> Vec<usize> {
        let in_second = |second: u64| {
            let at = |call: u64| (second + 7) * SECOND + call * SECOND / calls;
            (0..calls).filter(|call| floor.passes(at(*call))).count()
        };
        (0..5).map(in_second).collect()
    }

    #[test]
    fn so_many_pass_each_second_and_at_most_a_second_of_them_more() {
        for per_second in [1_u32, 2, 10, 300] {
            let passed = passes_each_second(&Floor::new(per_second.into()), 1_000);
            let whole = per_second as usize;
            assert!(passed.iter().all(|passed| *passed >= whole), "{per_second}: {passed:?}");
            assert!(passed.iter().sum::<usize>() <= 6 * whole, "{per_second}: {passed:?}");
        }
    }

    #[test]
    fn they_pass_also_where_they_come_all_at_once() {
        let floor = Floor::new(10.0);
        for second in 1..5 {
            let passed = (0..100).filter(|_| floor.passes(second * SECOND)).count();
            assert_eq!(passed, 10);
        }
    }

    #[test]
    fn less_than_one_a_second_is_one_in_so_many() {
        let floor = Floor::new(0.1);
        let passed: Vec<u64> = (0..25).filter(|second| floor.passes(second * SECOND)).collect();
        assert_eq!(passed, [0, 10, 20]);
    }

    #[test]
    fn none_is_none_and_more_than_can_come_is_all() {
        assert!((0..1000).all(|now| !Floor::new(0.0).passes(now)));
        let all = Floor::new(1e300);
        assert!((0..1000).all(|_| all.passes(5)));
        let seldom = Floor::new(1e-300);
        assert!(seldom.passes(5) && !seldom.passes(1 << 62));
    }
}
