//! [`Ledger`]: an observer that keeps the books over every layer it is given to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress::Class;
use buttress::observe::{Event, EventKind, Observe, Stage};

/// Records events, and adds them up as a gauge would. A clone shares the books.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger(Arc<Mutex<BTreeMap<&'static str, Books>>>);

/// The books of one kind of layer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Books {
    pub(crate) events: Vec<(Stage, EventKind)>,
    pub(crate) in_flight: i64,
    pub(crate) queued: i64,
    /// Calls that were seen to end.
    pub(crate) ended: usize,
}

impl Observe for Ledger {
    fn on_event(&self, event: &Event<'_>) {
        let mut books = self.0.lock().unwrap();
        books.entry(event.layer).or_default().enter(event.stage, event.kind);
    }
}

impl Ledger {
    pub(crate) fn of(&self, layer: &'static str) -> Books {
        self.0.lock().unwrap().get(layer).cloned().unwrap_or_default()
    }

    /// The only kind of layer that has told anything.
    pub(crate) fn only(&self) -> Books {
        let books = self.0.lock().unwrap();
        assert!(books.len() <= 1, "events of {:?}", books.keys());
        books.values().next().cloned().unwrap_or_default()
    }

    /// What has happened since the last look, without the moments.
    pub(crate) fn take(&self, layer: &'static str) -> Vec<EventKind> {
        let mut books = self.0.lock().unwrap();
        let events = std::mem::take(&mut books.entry(layer).or_default().events);
        events.into_iter().map(|(_, kind)| without_latency(kind)).collect()
    }

    /// Everybody who came has gone, and no gauge has been left standing.
    #[track_caller]
    pub(crate) fn assert_settled(&self) {
        for (layer, books) in &*self.0.lock().unwrap() {
            let sums = (books.in_flight, books.queued);
            assert_eq!(sums, (0, 0), "{layer}: in flight, queued; {:?}", books.events);
        }
    }

    /// How many hold this ledger, this one included: a layer's state that was not freed shows.
    pub(crate) fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}

impl Books {
    fn enter(&mut self, stage: Stage, kind: EventKind) {
        let ends = matches!(
            kind,
            EventKind::Settled { .. }
                | EventKind::LateResult
                | EventKind::Abandoned
                | EventKind::Rejected(_)
        );
        let begins = matches!(kind, EventKind::Queued | EventKind::Admitted { .. });
        if begins || ends {
            match stage {
                Stage::Waiting => self.queued -= 1,
                Stage::InFlight => self.in_flight -= 1,
                _ => {}
            }
        }
        match kind {
            EventKind::Queued => self.queued += 1,
            EventKind::Admitted { .. } => self.in_flight += 1,
            _ => {}
        }
        self.ended += usize::from(ends);
        self.events.push((stage, kind));
        // The events of two threads may cross; those of one may not.
        assert!(self.in_flight >= 0 && self.queued >= 0, "below nothing: {self:?}");
    }

    pub(crate) fn kinds(&self) -> Vec<EventKind> {
        self.events.iter().map(|(_, kind)| without_latency(*kind)).collect()
    }

    /// The stage of the last event.
    pub(crate) fn last_stage(&self) -> Option<Stage> {
        self.events.last().map(|(stage, _)| *stage)
    }
}

/// Latencies are measured elsewhere; without them, events compare.
fn without_latency(kind: EventKind) -> EventKind {
    match kind {
        EventKind::Settled { class, .. } => settled(class),
        kind => kind,
    }
}

pub(crate) fn settled(class: Class) -> EventKind {
    EventKind::Settled { class, latency: Duration::ZERO }
}

pub(crate) fn admitted() -> EventKind {
    EventKind::Admitted { waited: Duration::ZERO }
}
