//! What simulated clients do: data. What drives them is in `load.rs`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::latency::Latency;
use crate::serde::duration;

/// A group of clients that send requests into one stack.
///
/// ```
/// use std::time::Duration;
/// use buttress::sim::Clients;
///
/// // 150 requests a second, four times as many from second 10 to second 20; each is of use within
/// // a second. Such clients often retry by themselves: here thrice, after a quarter of a second.
/// let shoppers = Clients::open(150.0)
///     .spike(4.0, Duration::from_secs(10), Duration::from_secs(10))
///     .deadline(Duration::from_secs(1))
///     .timeout(Duration::from_millis(250))
///     .attempts(4);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Clients {
    /// When they send.
    pub arrivals: Arrivals,
    /// Times of another load.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spikes: Vec<Spike>,
    /// Until when an answer is of use, from the first attempt on.
    #[serde(with = "duration")]
    pub deadline: Duration,
    /// How long they wait for one attempt.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// How many attempts they make by themselves, outside the stack.
    #[serde(default = "one")]
    pub attempts: u32,
    /// How long they pause between two.
    #[serde(default, with = "duration")]
    pub pause: Duration,
    /// Among how many keys (tenants, hosts) the requests are spread.
    #[serde(default = "one_key")]
    pub keys: u64,
}

impl Clients {
    /// Many clients that know nothing of each other: Poisson arrivals of this many requests per
    /// second, however long the answers take.
    #[must_use]
    pub fn open(per_second: f64) -> Self {
        Self::new(Arrivals::Open { per_second })
    }

    /// This many clients, each of which waits for its answer, then thinks, for a millisecond at
    /// least, then asks again.
    #[must_use]
    pub fn closed(clients: u32, think: Latency) -> Self {
        Self::new(Arrivals::Closed { clients, think })
    }

    /// [`open`](Self::open) clients that come in bursts: `on` long, then silence for `off`.
    #[must_use]
    pub fn bursts(per_second: f64, on: Duration, off: Duration) -> Self {
        Self::new(Arrivals::Bursts { per_second, on, off })
    }

    fn new(arrivals: Arrivals) -> Self {
        Self {
            arrivals,
            spikes: Vec::new(),
            deadline: Duration::from_secs(1),
            timeout: None,
            attempts: 1,
            pause: Duration::ZERO,
            keys: 1,
        }
    }

    /// `factor` times the load from `from` on, for `lasting`. Closed clients think that much
    /// shorter.
    #[must_use]
    pub fn spike(mut self, factor: f64, from: Duration, lasting: Duration) -> Self {
        self.spikes.push(Spike { factor, from, lasting });
        self
    }

    /// Until when an answer is of use, from the first attempt on: what comes later is no goodput.
    /// The stack finds it in the request, as a [`Deadline`](crate::timeout::Deadline). Default: a
    /// second.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How long they wait for one attempt, before they drop it. Default: as long as it takes.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How many attempts they make by themselves, whatever the failure. Default: one.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// How long they pause between two attempts of their own. Default: not at all.
    #[must_use]
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Among how many keys the requests are spread, evenly by chance. Default: one.
    #[must_use]
    pub fn keys(mut self, keys: u64) -> Self {
        self.keys = keys;
        self
    }

    /// Requests per second at `at`, in seconds, and until when that stays so. Closed clients have
    /// none: theirs depends on the answers.
    pub(super) fn rate(&self, at: f64) -> (f64, f64) {
        let (mut rate, mut until) = match self.arrivals {
            Arrivals::Open { per_second } => (per_second, f64::INFINITY),
            Arrivals::Closed { .. } => return (0.0, f64::INFINITY),
            Arrivals::Bursts { per_second, on, off } => {
                let (on, period) = (on.as_secs_f64(), (on + off).as_secs_f64());
                let mut index = (at / period).floor();
                // The quotient may be rounded down to the period that ends here.
                if (index + 1.0) * period <= at {
                    index += 1.0;
                }
                let (end, next) = (index * period + on, (index + 1.0) * period);
                if at < end { (per_second, end) } else { (0.0, next) }
            }
        };
        for spike in &self.spikes {
            let (from, to) = (spike.from.as_secs_f64(), spike.until().as_secs_f64());
            if at < from {
                until = until.min(from);
            } else if at < to {
                rate *= spike.factor;
                until = until.min(to);
            }
        }
        (rate, until)
    }

    /// How much shorter closed clients think at `at`.
    pub(super) fn haste(&self, at: Duration) -> f64 {
        let now = self.spikes.iter().filter(|spike| spike.from <= at && at < spike.until());
        now.map(|spike| spike.factor).product()
    }

    pub(super) fn nonsense(&self) -> Option<String> {
        let rate = |name: &str, number: f64| {
            (!(number.is_finite() && number >= 0.0))
                .then(|| format!("`{name}` is {number}, allowed is 0 or more"))
        };
        if self.attempts == 0 || self.keys == 0 || self.deadline.is_zero() {
            return Some("`attempts`, `keys` and `deadline` must not be 0".to_owned());
        }
        let arrivals = match self.arrivals {
            Arrivals::Bursts { on, off, .. } if (on + off).is_zero() => {
                Some("`on` and `off` are 0, allowed is more for one of them".to_owned())
            }
            Arrivals::Open { per_second } | Arrivals::Bursts { per_second, .. } => {
                rate("per_second", per_second)
            }
            Arrivals::Closed { think, .. } => think
                .nonsense()
                .map(|allowed| format!("`think` is {think:?}, allowed is {allowed}")),
        };
        let closed = matches!(self.arrivals, Arrivals::Closed { .. });
        let spikes = || {
            self.spikes.iter().find_map(|spike| match spike.factor {
                0.0 if closed => {
                    Some("`factor` is 0, allowed is more for clients that wait".to_owned())
                }
                factor => rate("factor", factor),
            })
        };
        arrivals.or_else(spikes)
    }
}

/// When clients send.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Arrivals {
    /// Poisson arrivals.
    Open {
        /// Requests per second.
        per_second: f64,
    },
    /// Each client asks, waits, thinks.
    Closed {
        /// How many clients.
        clients: u32,
        /// How long each thinks before a request.
        think: Latency,
    },
    /// Poisson arrivals with silence between.
    Bursts {
        /// Requests per second, in a burst.
        per_second: f64,
        /// How long a burst lasts.
        #[serde(with = "duration")]
        on: Duration,
        /// How long the silence after it.
        #[serde(with = "duration")]
        off: Duration,
    },
}

/// A time of another load.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Spike {
    /// How many times the usual load.
    pub factor: f64,
    /// From when on.
    #[serde(with = "duration")]
    pub from: Duration,
    /// For how long.
    #[serde(with = "duration")]
    pub lasting: Duration,
}

impl Spike {
    /// When it ends.
    #[must_use]
    pub fn until(self) -> Duration {
        self.from.saturating_add(self.lasting)
    }
}

fn one() -> u32 {
    1
}

fn one_key() -> u64 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_move_on_whatever_is_rounded() {
        for (on, off) in [(150, 50), (300, 700), (1, 2), (7, 0), (0, 3)] {
            let (on, off) = (Duration::from_millis(on), Duration::from_millis(off));
            let clients = Clients::bursts(10.0, on, off);
            let mut at = 0.0;
            for _ in 0..10_000 {
                let (_, until) = clients.rate(at);
                assert!(until > at, "{on:?} on, {off:?} off: from {at} until {until}");
                at = until;
            }
        }
    }
}
