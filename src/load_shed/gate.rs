//! [`Gate`]: which calls are refused before they are let near the inner service.

use std::time::Duration;

use crate::load_shed::excess::Excess;
use crate::load_shed::signal::Signals;
use crate::load_shed::threshold::Threshold;
use crate::priority::Priority;
use crate::rng::Rng;
use crate::sync::{Mutex, lock};
use crate::time;

/// Refuses the share of calls that is too much.
///
/// Without priorities that share is what the signals say, and chance decides whom it hits. With
/// priorities it is what the signals say or what finds no room, whichever is more, and the
/// threshold decides.
#[derive(Debug)]
pub(super) struct Gate {
    signals: Signals,
    choice: Choice,
}

#[derive(Debug)]
enum Choice {
    Chance(Mutex<Rng>),
    Priority(Box<Mutex<Ranked>>),
}

#[derive(Debug)]
struct Ranked {
    excess: Excess,
    threshold: Threshold,
}

/// The window of the histogram of priorities: long enough to know the mix, short enough to follow
/// it.
const HISTOGRAM: Duration = Duration::from_secs(2);

impl Gate {
    /// The gate, where there is anything for it to go by.
    pub(super) fn new(
        signals: Signals,
        prioritized: bool,
        window: Duration,
        seed: Option<u64>,
    ) -> Option<Self> {
        let choice = if prioritized {
            let now = time::now();
            let (excess, threshold) = (Excess::new(window, now), Threshold::new(HISTOGRAM, now));
            Choice::Priority(Box::new(Mutex::new(Ranked { excess, threshold })))
        } else {
            Choice::Chance(Mutex::new(Rng::new(seed)))
        };
        (prioritized || !signals.is_empty()).then_some(Self { signals, choice })
    }

    /// Whether a call passes. Counts it, and that it is served at once where the inner service is
    /// ready for it.
    pub(super) fn admits(&self, priority: Priority, ready: bool) -> bool {
        // Users' code: under no lock.
        let level = self.signals.level();
        match &self.choice {
            Choice::Chance(rng) => {
                level <= 0.0 || priority.is_exempt() || lock(rng).fraction() >= level
            }
            Choice::Priority(ranked) => {
                let now = time::now();
                let Ranked { excess, threshold } = &mut *lock(ranked);
                excess.came(now);
                let admitted = threshold.admits(now, priority, level.max(excess.level(now)));
                if admitted && ready {
                    excess.served();
                }
                admitted
            }
        }
    }

    /// A call that had to wait went to the inner service.
    pub(super) fn served(&self) {
        if let Choice::Priority(ranked) = &self.choice {
            lock(ranked).excess.served();
        }
    }

    /// A call that had passed found no room.
    pub(super) fn pressed(&self) {
        if let Choice::Priority(ranked) = &self.choice {
            lock(ranked).excess.pressed();
        }
    }

    /// The share that is refused now, from 0 to 1.
    pub(super) fn excess(&self) -> f64 {
        let level = self.signals.level();
        match &self.choice {
            Choice::Chance(_) => level,
            Choice::Priority(ranked) => level.max(lock(ranked).excess.level(time::now())),
        }
    }
}
