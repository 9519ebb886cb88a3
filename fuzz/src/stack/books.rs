//! [`Books`]: an observer that adds up what a layer tells.

use std::sync::{Arc, Mutex};

use buttress::observe::{Event, EventKind, Observe, Stage};

/// The books of one layer. A clone shares them.
#[derive(Clone, Debug, Default)]
pub(super) struct Books(Arc<Mutex<Sums>>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) in_flight: i64,
    pub(super) queued: i64,
    /// Calls that were seen to end.
    pub(super) ended: usize,
}

impl Books {
    pub(super) fn sums(&self) -> Sums {
        *self.0.lock().expect("nothing panics")
    }
}

impl Observe for Books {
    fn on_event(&self, event: &Event<'_>) {
        let ends = matches!(
            event.kind,
            EventKind::Settled { .. }
                | EventKind::LateResult
                | EventKind::Abandoned
                | EventKind::Rejected(_)
        );
        let mut sums = self.0.lock().expect("nothing panics");
        if ends || matches!(event.kind, EventKind::Queued | EventKind::Admitted { .. }) {
            match event.stage {
                Stage::Waiting => sums.queued -= 1,
                Stage::InFlight => sums.in_flight -= 1,
                _ => {}
            }
        }
        match event.kind {
            EventKind::Queued => sums.queued += 1,
            EventKind::Admitted { .. } => sums.in_flight += 1,
            _ => {}
        }
        sums.ended += usize::from(ends);
        assert!(sums.in_flight >= 0 && sums.queued >= 0, "below nothing: {sums:?} by {event:?}");
    }
}
