//! What goes wrong, when, and where: data.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::serde::duration;

/// The faults of a run, in no particular order. They may overlap, and then add up.
///
/// ```
/// use std::time::Duration;
/// use buttress::sim::Faults;
///
/// let (at, lasting) = (Duration::from_secs(10), Duration::from_secs(5));
/// let faults = Faults::new()
///     .slow("inventory", 10.0, at, lasting)
///     .errors("payments", 0.2, at, lasting)
///     .pause("payments", at * 2, Duration::from_millis(800));
/// assert_eq!(faults.end(), Some(Duration::from_millis(20_800)));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All work of `server` takes `factor` times as long.
    #[must_use]
    pub fn slow(self, server: &str, factor: f64, from: Duration, lasting: Duration) -> Self {
        self.and(server, FaultKind::Slow { factor }, from, lasting)
    }

    /// A share of the workers of `server`, 0 to 1, begins no new work.
    #[must_use]
    pub fn lose_workers(self, server: &str, share: f64, from: Duration, lasting: Duration) -> Self {
        self.and(server, FaultKind::LoseWorkers { share }, from, lasting)
    }

    /// `server` crashes: what it had in work and in line is reset, and until it is back every
    /// request is refused at once ([`Failure::Unreachable`](super::Failure::Unreachable)).
    #[must_use]
    pub fn crash(self, server: &str, from: Duration, lasting: Duration) -> Self {
        self.and(server, FaultKind::Crash, from, lasting)
    }

    /// `server` crashes and nobody says so: what it had in work, in line, and what is sent to it
    /// is never answered.
    #[must_use]
    pub fn silence(self, server: &str, from: Duration, lasting: Duration) -> Self {
        self.and(server, FaultKind::Silence, from, lasting)
    }

    /// A share of the requests to `server`, 0 to 1, fails, after the usual work.
    #[must_use]
    pub fn errors(self, server: &str, share: f64, from: Duration, lasting: Duration) -> Self {
        self.and(server, FaultKind::Errors { share }, from, lasting)
    }

    /// Nothing gets to `server` and nothing back; it works on what it has.
    #[must_use]
    pub fn partition(self, server: &str, from: Duration, lasting: Duration) -> Self {
        self.and(server, FaultKind::Partition, from, lasting)
    }

    /// A share of the replies of `server`, 0 to 1, is lost after the work is done.
    #[must_use]
    pub fn lose_replies(self, server: &str, share: f64, from: Duration, lasting: Duration) -> Self {
        self.and(server, FaultKind::LoseReplies { share }, from, lasting)
    }

    /// `server` stands still, as in a garbage collection, and goes on afterwards.
    #[must_use]
    pub fn pause(self, server: &str, from: Duration, lasting: Duration) -> Self {
        self.and(server, FaultKind::Pause, from, lasting)
    }

    /// When the last of them ends.
    #[must_use]
    pub fn end(&self) -> Option<Duration> {
        self.0.iter().map(Fault::until).max()
    }

    fn and(mut self, server: &str, kind: FaultKind, from: Duration, lasting: Duration) -> Self {
        self.0.push(Fault { server: server.to_owned(), kind, from, lasting });
        self
    }
}

/// Something that goes wrong with one server for a while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Fault {
    /// The server, by its name in the plan.
    pub server: String,
    /// What goes wrong.
    pub kind: FaultKind,
    /// From when on.
    #[serde(with = "duration")]
    pub from: Duration,
    /// For how long.
    #[serde(with = "duration")]
    pub lasting: Duration,
}

impl Fault {
    /// When it ends.
    #[must_use]
    pub fn until(&self) -> Duration {
        self.from.saturating_add(self.lasting)
    }

    pub(super) fn nonsense(&self) -> Option<String> {
        let (name, number, sound) = match self.kind {
            FaultKind::Slow { factor } => ("factor", factor, factor.is_finite() && factor > 0.0),
            FaultKind::LoseWorkers { share }
            | FaultKind::Errors { share }
            | FaultKind::LoseReplies { share } => ("share", share, (0.0..=1.0).contains(&share)),
            _ => return None,
        };
        (!sound).then(|| {
            format!("`{name}` is {number}, allowed is a factor above 0, a share from 0 to 1")
        })
    }
}

/// What can go wrong with a server.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum FaultKind {
    /// Work takes longer.
    Slow {
        /// How many times as long.
        factor: f64,
    },
    /// Workers begin no new work.
    LoseWorkers {
        /// The share of them, rounded down to whole ones that are left, 0 to 1.
        share: f64,
    },
    /// Down, and says so.
    Crash,
    /// Down, and says nothing.
    Silence,
    /// Requests fail.
    Errors {
        /// The share of them, 0 to 1.
        share: f64,
    },
    /// Nothing gets through, in either direction.
    Partition,
    /// Replies get lost.
    LoseReplies {
        /// The share of them, 0 to 1.
        share: f64,
    },
    /// Stands still.
    Pause,
}

/// What the server is: "10 times slower", "without 90 % of its workers".
impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of 0.07 * 100, what was meant.
        let percent = |share: f64| (share * 1e4).round() / 1e2;
        match *self {
            Self::Slow { factor } => write!(f, "{factor} times slower"),
            Self::LoseWorkers { share } => write!(f, "without {} % of its workers", percent(share)),
            Self::Crash => f.write_str("crashed"),
            Self::Silence => f.write_str("silent"),
            Self::Errors { share } => write!(f, "failing {} %", percent(share)),
            Self::Partition => f.write_str("cut off"),
            Self::LoseReplies { share } => write!(f, "losing {} % of its replies", percent(share)),
            Self::Pause => f.write_str("paused"),
        }
    }
}

/// How a server is at one moment: all faults of that moment together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Condition {
    /// Work done per unit of time, of 1.
    pub(super) speed: f64,
    /// The share of workers that is left.
    pub(super) workers: f64,
    pub(super) down: Option<Down>,
    pub(super) errors: f64,
    pub(super) partitioned: bool,
    pub(super) lost_replies: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Down {
    Refusing,
    Silent,
}

impl Condition {
    pub(super) const SOUND: Self = Self {
        speed: 1.0,
        workers: 1.0,
        down: None,
        errors: 0.0,
        partitioned: false,
        lost_replies: 0.0,
    };

    /// The condition of `server` at `at`.
    pub(super) fn at(faults: &Faults, server: &str, at: Duration) -> Self {
        let mut now = Self::SOUND;
        let active =
            |fault: &&Fault| fault.server == server && fault.from <= at && at < fault.until();
        for fault in faults.0.iter().filter(active) {
            match fault.kind {
                FaultKind::Slow { factor } => now.speed /= factor,
                FaultKind::LoseWorkers { share } => now.workers *= 1.0 - share,
                FaultKind::Crash => now.down = now.down.or(Some(Down::Refusing)),
                // Who says nothing cannot say that it is down.
                FaultKind::Silence => now.down = Some(Down::Silent),
                FaultKind::Errors { share } => {
                    now.errors = 1.0 - (1.0 - now.errors) * (1.0 - share);
                }
                FaultKind::Partition => now.partitioned = true,
                FaultKind::LoseReplies { share } => {
                    now.lost_replies = 1.0 - (1.0 - now.lost_replies) * (1.0 - share);
                }
                FaultKind::Pause => now.speed = 0.0,
            }
        }
        now
    }

    /// The share of the requests that can be answered well, for the oracle.
    pub(super) fn yields(&self) -> f64 {
        if self.down.is_some() || self.partitioned {
            return 0.0;
        }
        (1.0 - self.errors) * (1.0 - self.lost_replies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn faults_that_overlap_add_up_and_end_each_at_its_time() {
        let faults = Faults::new()
            .slow("db", 4.0, SECOND, 4 * SECOND)
            .slow("db", 2.0, 2 * SECOND, SECOND)
            .errors("db", 0.5, 2 * SECOND, SECOND)
            .errors("db", 0.5, 2 * SECOND, SECOND)
            .lose_workers("db", 0.9, 2 * SECOND, SECOND)
            .crash("db", 2 * SECOND, SECOND)
            .partition("other", Duration::ZERO, 9 * SECOND);
        assert_eq!(Condition::at(&faults, "db", Duration::ZERO), Condition::SOUND);
        let both = Condition::at(&faults, "db", 2 * SECOND);
        assert_eq!((both.speed, both.errors, both.partitioned), (0.125, 0.75, false));
        assert!((both.workers - 0.1).abs() < 1e-9);
        assert_eq!((both.down, both.yields()), (Some(Down::Refusing), 0.0));
        let after = Condition::at(&faults, "db", 3 * SECOND);
        assert_eq!(after, Condition { speed: 0.25, ..Condition::SOUND });
        assert_eq!(faults.end(), Some(9 * SECOND));
    }

    #[test]
    fn who_is_silent_refuses_nothing() {
        let (at, lasting) = (Duration::ZERO, SECOND);
        for faults in [
            Faults::new().crash("db", at, lasting).silence("db", at, lasting),
            Faults::new().silence("db", at, lasting).crash("db", at, lasting),
        ] {
            assert_eq!(Condition::at(&faults, "db", at).down, Some(Down::Silent));
        }
    }
}
