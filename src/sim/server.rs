//! What a simulated server is: data. What it does is in `station.rs`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::latency::Latency;

/// A model of a server: workers, how long they take, and the line before them.
///
/// ```
/// use std::time::Duration;
/// use buttress::sim::{Cancellation, Latency, QueueDiscipline, Server};
///
/// let server = Server::workers(10, Latency::exponential(Duration::from_millis(50)))
///     .queue(100)
///     .discipline(QueueDiscipline::Lifo)
///     .cancellation(Cancellation::Stops);
/// assert_eq!(server.capacity(), 200.0);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Server {
    /// How many requests are worked on at once.
    pub workers: u32,
    /// How long one takes that has the server for itself.
    pub latency: Latency,
    /// How many may stand in line; `None` for a line without an end, as most servers have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<usize>,
    /// Who of the line is next.
    #[serde(default)]
    pub discipline: QueueDiscipline,
    /// What becomes of the work for a caller that has gone.
    #[serde(default)]
    pub cancellation: Cancellation,
    /// Contention, the sigma of the universal scalability law.
    #[serde(default)]
    pub contention: f64,
    /// Coherency, its kappa.
    #[serde(default)]
    pub coherency: f64,
}

impl Server {
    /// This many workers, with a line that has no end, who finish what they began even if the
    /// caller has gone.
    ///
    /// The simulated clock ticks in milliseconds: answers come up to one late, so let the service
    /// take several. Capacity does not suffer from it: the next in line begins when the worker was
    /// free, not at the tick.
    #[must_use]
    pub fn workers(workers: u32, latency: Latency) -> Self {
        Self {
            workers,
            latency,
            queue: None,
            discipline: QueueDiscipline::default(),
            cancellation: Cancellation::default(),
            contention: 0.0,
            coherency: 0.0,
        }
    }

    /// A server that works on all requests at once and slows down for it, by the universal
    /// scalability law: with `n` in work each takes `1 + contention * (n - 1) + coherency * n *
    /// (n - 1)` times as long.
    ///
    /// Source: N. J. Gunther, *Guerrilla Capacity Planning* (2007), chapter 4.
    #[must_use]
    pub fn universal_scalability(latency: Latency, contention: f64, coherency: f64) -> Self {
        Self { contention, coherency, ..Self::workers(u32::MAX, latency) }
    }

    /// How many may stand in line; more are answered [`Failure::Overloaded`](super::Failure).
    #[must_use]
    pub fn queue(mut self, len: usize) -> Self {
        self.queue = Some(len);
        self
    }

    /// Who of the line is next. Default: [`QueueDiscipline::Fifo`].
    #[must_use]
    pub fn discipline(mut self, discipline: QueueDiscipline) -> Self {
        self.discipline = discipline;
        self
    }

    /// What becomes of the work for a caller that has gone. Default: [`Cancellation::Ignored`].
    #[must_use]
    pub fn cancellation(mut self, cancellation: Cancellation) -> Self {
        self.cancellation = cancellation;
        self
    }

    /// The most requests per second that it can answer: at the best concurrency, where that makes
    /// a difference.
    #[must_use]
    pub fn capacity(&self) -> f64 {
        self.capacity_of(f64::from(self.workers))
    }

    /// The most requests in work that bring it anything: more only make each other slower.
    #[must_use]
    pub fn best_concurrency(&self) -> f64 {
        self.best_of(f64::from(self.workers))
    }

    /// The same of this many workers.
    fn best_of(&self, workers: f64) -> f64 {
        // Of sigma and kappa alone: d/dn of n / slowdown(n) = 0.
        let best = if self.coherency > 0.0 {
            ((1.0 - self.contention).max(0.0) / self.coherency).sqrt().max(1.0)
        } else {
            f64::INFINITY
        };
        workers.min(best)
    }

    /// What `workers` of them can answer per second.
    pub(super) fn capacity_of(&self, workers: f64) -> f64 {
        let n = self.best_of(workers);
        n / self.slowdown(n) / self.latency.mean().as_secs_f64()
    }

    /// How much longer each request takes with `n` of them in work.
    pub(super) fn slowdown(&self, n: f64) -> f64 {
        1.0 + self.contention * (n - 1.0).max(0.0) + self.coherency * n * (n - 1.0).max(0.0)
    }

    pub(super) fn nonsense(&self) -> Option<String> {
        let share = |number: f64| (0.0..=1.0).contains(&number);
        if self.workers == 0 {
            return Some("`workers` is 0, allowed is 1 or more".to_owned());
        }
        if self.latency.mean() == Duration::ZERO {
            return Some("`latency` has a mean of 0, allowed is more".to_owned());
        }
        if !share(self.contention) || !share(self.coherency) {
            let (sigma, kappa) = (self.contention, self.coherency);
            return Some(format!(
                "`contention` is {sigma} and `coherency` is {kappa}, allowed is 0 to 1"
            ));
        }
        self.latency
            .nonsense()
            .map(|allowed| format!("`latency` is {:?}, allowed is {allowed}", self.latency))
    }
}

/// Who of a server's line is next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum QueueDiscipline {
    /// Who came first.
    #[default]
    Fifo,
    /// Who came last.
    Lifo,
}

/// What becomes of the work for a caller that has gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cancellation {
    /// It is done all the same: the server hears nothing of it, as with most protocols and most
    /// handlers. What makes overload last.
    #[default]
    Ignored,
    /// It leaves the line, and the worker is free at once.
    Stops,
}
