//! The layers' end of the wire.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use crate::budget::{Budget, Withdrawal};
use crate::classify::Class;
use crate::observe::{Event, EventKind, Observe, Stage};
use crate::rejected::{Reason, Rejected};
use crate::time::{self, Instant};

/// What every builder collects about who the layer is and who listens.
#[derive(Clone, Default)]
pub(crate) struct Identity {
    pub(crate) name: Option<Arc<str>>,
    observers: Vec<Arc<dyn Observe>>,
}

impl Identity {
    pub(crate) fn observe(&mut self, observer: impl Observe + 'static) {
        self.observers.push(Arc::new(observer));
    }

    /// Binds the observers to the finished layer. The name is the builder's, else the
    /// configuration's, else the kind of layer.
    pub(crate) fn emitter(self, layer: &'static str, configured: Option<&str>) -> Emitter {
        let name = self.name.unwrap_or_else(|| configured.unwrap_or(layer).into());
        let observers =
            self.observers.into_iter().map(|o| o.bind(layer, &name).unwrap_or(o)).collect();
        Emitter { layer, name, observers }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} with {} observers", self.name, self.observers.len())
    }
}

/// The two setters that every builder has, over its field `identity`.
macro_rules! identity_setters {
    () => {
        /// Names this instance: in refusals, events and metric labels. Never put a key or a user
        /// in it. Default: the kind of layer.
        pub fn name(mut self, name: impl Into<std::sync::Arc<str>>) -> Self {
            self.identity.name = Some(name.into());
            self
        }

        /// Tells `observer` what happens here. May be called for several observers.
        pub fn observe(mut self, observer: impl crate::observe::Observe + 'static) -> Self {
            self.identity.observe(observer);
            self
        }
    };
}
pub(crate) use identity_setters;

/// Sends the events of one layer to its observers.
pub(crate) struct Emitter {
    layer: &'static str,
    name: Arc<str>,
    observers: Box<[Arc<dyn Observe>]>,
}

impl Emitter {
    /// Whether anybody listens: asked before a clock is read for an event alone.
    #[inline(always)]
    pub(crate) fn is_on(&self) -> bool {
        !self.observers.is_empty()
    }

    /// Tells the limit that the layer starts with.
    pub(crate) fn limit(&self, limit: usize) {
        for observer in &self.observers {
            observer.on_limit(limit);
        }
    }

    /// Asks a budget for a further attempt, and tells what it holds after that.
    pub(crate) fn withdraw(&self, budget: &Budget) -> Option<Withdrawal> {
        let withdrawal = budget.withdraw();
        if self.is_on() {
            let tokens = budget.available();
            for observer in &self.observers {
                observer.on_budget(tokens);
            }
        }
        withdrawal
    }

    #[inline(always)]
    pub(crate) fn emit(&self, stage: Stage, kind: EventKind) {
        if self.is_on() {
            // Made here: its kind is what a call by value would copy.
            self.send(&Event { layer: self.layer, name: &self.name, kind, stage });
        }
    }

    /// Tells that other processes do not see the records.
    pub(crate) fn unshared_store(&self) {
        for observer in &self.observers {
            observer.on_unshared_store(&self.name);
        }
    }

    /// Tells why a store did not do what it was asked.
    #[cold]
    pub(crate) fn store_failed(&self, error: &(dyn StdError + 'static)) {
        for observer in &self.observers {
            observer.on_store_error(&self.name, error);
        }
    }

    /// Tells of a refusal, and makes it.
    #[cold]
    pub(crate) fn refuse(&self, stage: Stage, reason: Reason) -> Rejected {
        self.emit(stage, EventKind::Rejected(reason));
        self.named(Rejected::new(reason))
    }

    /// The refusal with the name of the layer.
    pub(crate) fn named(&self, rejected: Rejected) -> Rejected {
        rejected.named(self.name.clone())
    }

    /// Tells of the end of a call that has run since then.
    pub(crate) fn settled(&self, since: Instant, class: Class) {
        let latency = time::now().saturating_duration_since(since);
        self.emit(Stage::InFlight, EventKind::Settled { class, latency });
    }

    #[inline(never)]
    fn send(&self, event: &Event<'_>) {
        for observer in &self.observers {
            observer.on_event(event);
        }
    }
}

impl fmt::Debug for Emitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.layer, self.name)
    }
}
