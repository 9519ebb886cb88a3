//! The rule of controlled delay against what it promises, by a model that keeps all that happened:
//! for the tests, and for `fuzz/`.

use std::time::Duration;

use super::Codel;
use crate::time;

/// What happens to a queue.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // No part of the API.
pub enum Op {
    Wait(Duration),
    Join,
    /// The first in the queue, or else the last.
    Serve {
        newest: bool,
    },
    /// Whoever has waited for as long as is allowed goes; all of them.
    Refuse,
    /// The last gives up.
    GiveUp,
}

/// Panics where a queue is called overloaded that has not stood for an interval, or where it is
/// not once it has; where a wait is allowed that is shorter than the target, or longer than the
/// interval, or not as long as the state of the queue says.
///
/// # Panics
///
/// There.
pub fn run(target: Duration, interval: Duration, ops: impl IntoIterator<Item = Op>) {
    let mut now = time::now();
    let mut codel = Codel::new(target, interval);
    let mut queue: Vec<time::Instant> = Vec::new();
    // Since when nobody who was served has waited little, and nothing was empty, as far as known.
    let mut stands = None;
    for op in ops {
        match op {
            Op::Wait(time) => now += time,
            Op::Join => {
                codel.joined(now);
                queue.push(now);
                stands.get_or_insert(now);
            }
            Op::Serve { newest } => {
                let since = if newest { queue.pop() } else { first(&mut queue) };
                let Some(since) = since else { continue };
                let (was, waited) = (codel.is_overloaded(now), now - since);
                codel.served(now, waited);
                assert_eq!(codel.is_overloaded(now), was, "one wait alone changes nothing");
                if waited <= target && !was {
                    stands = Some(now);
                }
                if queue.is_empty() {
                    codel.drained(now);
                }
            }
            Op::Refuse => {
                let before = queue.len();
                queue.retain(|since| codel.until(*since) > now);
                if queue.len() < before {
                    codel.refused(now);
                    if queue.is_empty() {
                        codel.deserted(now);
                    }
                }
            }
            Op::GiveUp => {
                if queue.pop().is_some() && queue.is_empty() {
                    codel.deserted(now);
                }
            }
        }
        if !codel.is_overloaded(now) && queue.is_empty() {
            // It may be forgotten, or go on: whatever comes next says.
            stands = None;
        }
        let overloaded = codel.is_overloaded(now);
        if let (Some(since), false) = (stands, queue.is_empty()) {
            let stood = now - since >= interval;
            assert!(overloaded || !stood, "it has stood since {since:?}, now {now:?}");
        }
        for since in &queue {
            let allowed = codel.until(*since) - *since;
            assert!(allowed >= target && allowed <= interval, "{allowed:?} allowed");
            let is_new = *since == now;
            assert!(!overloaded || !is_new || allowed == target, "{allowed:?} in overload");
        }
    }
}

fn first(queue: &mut Vec<time::Instant>) -> Option<time::Instant> {
    (!queue.is_empty()).then(|| queue.remove(0))
}
