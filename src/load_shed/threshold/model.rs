//! The threshold against a naive model that keeps every call: for the tests, and for `fuzz/`.

use std::time::Duration;

use super::{FEW, Threshold};
use crate::priority::{Priority, PriorityClass};
use crate::time;

/// What happens to a threshold.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // No part of the API.
pub enum Op {
    Wait(Duration),
    /// A call of this class and level comes, while this share of all has to go.
    Call {
        class: usize,
        level: u8,
        excess: f64,
    },
    /// One that may not be refused.
    Exempt {
        excess: f64,
    },
}

/// Panics where the threshold refuses what no share of the calls can ask for, or passes what has
/// to go: what is in the last `excess` of the calls of the window with all of its rank goes, and
/// what has nothing of its rank there passes.
///
/// # Panics
///
/// There.
pub fn run(window: Duration, ops: impl IntoIterator<Item = Op>) {
    let start = time::now();
    let (mut threshold, mut now) = (Threshold::new(window, start), start);
    let (mut until, mut older, mut newer) = (start + window / 2, Vec::new(), Vec::new());
    for op in ops {
        let (priority, excess) = match op {
            Op::Wait(time) => {
                now += time;
                continue;
            }
            Op::Call { class, level, excess } => {
                (Priority::new(PriorityClass::ALL[class]).at_level(level), excess)
            }
            Op::Exempt { excess } => (Priority::EXEMPT, excess),
        };
        if now >= until && newer.len() >= FEW as usize {
            older = std::mem::take(&mut newer);
            until = now + window / 2;
        }
        newer.push(priority);
        let passes = threshold.admits(now, priority, excess);
        let all: Vec<&Priority> = older.iter().chain(&newer).collect();
        let count = |of: &dyn Fn(&Priority) -> bool| {
            let found = all.iter().filter(|one| !one.is_exempt() && of(one)).count();
            f64::from(u32::try_from(found).expect("a short run"))
        };
        let (behind, alike) =
            (count(&|one| *one > priority), count(&|one| *one == priority).max(1.0));
        let whole = f64::from(u32::try_from(all.len()).expect("a short run"));
        let gone = (excess.clamp(0.0, 1.0) * whole - behind) / alike;
        if priority.is_exempt() || excess.is_nan() || gone <= 0.0 {
            assert!(passes, "{priority:?} has to pass: {behind} of {whole} behind, {excess}");
        } else if gone >= 1.0 {
            assert!(!passes, "{priority:?} has to go: {behind} of {whole} behind, {excess}");
        }
    }
}
