//! [`History`]: what happened in one run, and when.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress::Reason;
use buttress::circuit_breaker::Phase;
use buttress::observe::{Event, EventKind, Withheld};

/// One run, in the order in which it happened. A clone shares it.
#[derive(Clone, Debug, Default)]
pub(super) struct History(Arc<Mutex<Vec<(Duration, What)>>>);

#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    /// A client handed an attempt to its transport.
    Sent { client: &'static str, id: u64 },
    /// A handler began to work. Its caller waits until the deadline, in the time of the run.
    Started { server: &'static str, id: u64, deadline: Duration },
    /// What a handler was at took effect.
    Took { server: &'static str, id: u64 },
    /// A handler was dropped at its work, before its effect or after it.
    Dropped { server: &'static str, id: u64 },
    /// A call of a client ended.
    Ended(Call),
    /// The circuit of a client changed.
    Circuit { client: &'static str, to: Phase },
    /// An attempt or a call of a client took longer than it may.
    TimedOut { client: &'static str },
    /// A further attempt was not made, for want of budget.
    Withheld { client: &'static str },
    /// A second attempt was sent beside the first.
    Hedged { client: &'static str },
}

/// A call that has ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub(super) client: &'static str,
    pub(super) id: u64,
    pub(super) began: Duration,
    pub(super) took: Duration,
    pub(super) outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// The server's answer.
    Answered(u16),
    /// A refusal of this side's layers; whether the server may have seen the call.
    Refused(Reason, bool),
    /// The transport's error.
    Failed(String),
}

impl Call {
    pub(super) fn is_good(&self) -> bool {
        self.outcome == Outcome::Answered(200)
    }

    /// Refused without having been sent to anybody.
    pub(super) fn is_refused_unsent(&self) -> bool {
        matches!(self.outcome, Outcome::Refused(_, false))
    }

    pub(super) fn ended(&self) -> Duration {
        self.began + self.took
    }
}

/// The time of the run, on any of its hosts.
pub(super) fn now() -> Option<Duration> {
    turmoil::sim_elapsed()
}

impl History {
    /// Takes it down; not what the end of the run itself tears down.
    pub(super) fn add(&self, what: What) {
        if let Some(at) = now() {
            self.0.lock().unwrap().push((at, what));
        }
    }

    /// An observer of a client's layers.
    pub(super) fn observer(
        &self,
        client: &'static str,
    ) -> impl Fn(&Event<'_>) + Send + Sync + 'static {
        let history = self.clone();
        move |event: &Event<'_>| match event.kind {
            EventKind::Transitioned { to, .. } => history.add(What::Circuit { client, to }),
            EventKind::Rejected(Reason::TimedOut) => history.add(What::TimedOut { client }),
            EventKind::Withheld(Withheld::Budget) => history.add(What::Withheld { client }),
            EventKind::Hedged => history.add(What::Hedged { client }),
            _ => {}
        }
    }

    pub(super) fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for entry in &*self.0.lock().unwrap() {
            format!("{entry:?}").hash(&mut hasher);
        }
        hasher.finish()
    }

    /// What `pick` takes out of it, with its time.
    pub(super) fn all<T>(&self, mut pick: impl FnMut(&What) -> Option<T>) -> Vec<(Duration, T)> {
        let entries = self.0.lock().unwrap();
        entries.iter().filter_map(|(at, what)| Some((*at, pick(what)?))).collect()
    }

    /// The calls of a client, in the order in which they ended.
    pub(super) fn calls(&self, of: &str) -> Vec<Call> {
        let calls = self.all(|what| match what {
            What::Ended(call) if call.client == of => Some(call.clone()),
            _ => None,
        });
        calls.into_iter().map(|(_, call)| call).collect()
    }

    /// The attempts that a client handed to its transport.
    pub(super) fn sent(&self, of: &str) -> Vec<(Duration, u64)> {
        self.all(|what| match what {
            What::Sent { client, id } if *client == of => Some(*id),
            _ => None,
        })
    }

    /// When which work began at a server.
    pub(super) fn started(&self, at: &str) -> Vec<(Duration, u64)> {
        self.all(|what| match what {
            What::Started { server, id, .. } if *server == at => Some(*id),
            _ => None,
        })
    }

    /// When which work took effect at a server.
    pub(super) fn effects(&self, at: &str) -> Vec<(Duration, u64)> {
        self.all(|what| match what {
            What::Took { server, id } if *server == at => Some(*id),
            _ => None,
        })
    }

    /// How much of `what` there is.
    pub(super) fn count(&self, what: &What) -> usize {
        self.all(|other| (other == what).then_some(())).len()
    }

    /// When a client's circuit went where.
    pub(super) fn phases(&self, of: &str) -> Vec<(Duration, Phase)> {
        self.all(|what| match what {
            What::Circuit { client, to } if *client == of => Some(*to),
            _ => None,
        })
    }
}

/// How often each number is among them.
pub(super) fn by_id(ids: &[(Duration, u64)]) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for (_, id) in ids {
        *counts.entry(*id).or_default() += 1;
    }
    counts
}

/// How many of `attempts` there are for each call that began in that time.
#[allow(clippy::cast_precision_loss)] // A few hundred of them.
pub(super) fn per_call(calls: &[Call], attempts: &[(Duration, u64)], when: Range<Duration>) -> f64 {
    let attempts = by_id(attempts);
    let calls: Vec<_> = calls.iter().filter(|call| when.contains(&call.began)).collect();
    let made: usize = calls.iter().filter_map(|call| attempts.get(&call.id)).sum();
    made as f64 / calls.len() as f64
}

/// The whole run, for a failure's sake.
impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, what) in &*self.0.lock().unwrap() {
            writeln!(f, "{at:?} {what:?}")?;
        }
        Ok(())
    }
}
