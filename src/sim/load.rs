//! Drives simulated clients through the stack under test.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tower_service::Service;

use super::clients::{Arrivals, Clients};
use super::interleave::Whim;
use super::latency::exponential;
use super::record::{End, Record};
use super::request::Request;
use crate::deadline::Deadline;
use crate::error::BoxError;
use crate::rejected::Rejected;
use crate::rng::Rng;
use crate::time::{later, sleep_until};

/// The least that a closed client pauses: one that is refused at once would ask again and again,
/// and the time would stand still.
const TICK: Duration = Duration::from_millis(1);

/// A group of clients, and the stack that they call.
pub(super) struct Load<S> {
    pub(super) index: u32,
    pub(super) clients: Clients,
    pub(super) run_for: Duration,
    pub(super) record: Arc<Record>,
    pub(super) rng: Rng,
    pub(super) whim: Whim,
    pub(super) stack: S,
    pub(super) sent: u64,
}

impl<S> Load<S>
where
    S: Service<Request> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: Send,
    S::Error: Into<BoxError> + Send,
{
    pub(super) async fn run(self) {
        match self.clients.arrivals {
            Arrivals::Open { .. } | Arrivals::Bursts { .. } => self.open().await,
            Arrivals::Closed { clients, .. } => self.closed(clients),
        }
    }

    async fn open(mut self) {
        let start = self.record.start();
        let mut at = 0.0;
        while let Some(next) = self.next_arrival(at) {
            at = next;
            let due = later(start, Duration::from_secs_f64(at));
            if due > crate::time::now() {
                sleep_until(due).await;
            }
            let client = self.client();
            tokio::spawn(client.ask());
        }
    }

    /// Poisson arrivals at a rate that changes: where the draw would pass a change, it is made
    /// anew from there, which the exponential distribution allows.
    fn next_arrival(&mut self, mut at: f64) -> Option<f64> {
        let end = self.run_for.as_secs_f64();
        while at < end {
            let (rate, until) = self.clients.rate(at);
            let next = if rate > 0.0 { at + exponential(&mut self.rng) / rate } else { f64::MAX };
            if next <= until {
                return (next < end).then_some(next);
            }
            at = until;
        }
        None
    }

    fn closed(mut self, clients: u32) {
        let Arrivals::Closed { think, .. } = self.clients.arrivals else { return };
        for _ in 0..clients {
            let mut rng = Rng::new(Some(self.rng.bits()));
            let mut load = Self {
                rng: Rng::new(Some(self.rng.bits())),
                record: Arc::clone(&self.record),
                clients: self.clients.clone(),
                stack: self.stack.clone(),
                whim: self.whim.clone(),
                sent: u64::from(self.client_number()) << 32,
                ..self
            };
            tokio::spawn(async move {
                loop {
                    let thinks = think.draw(&mut rng) / load.clients.haste(load.record.elapsed());
                    let pause = Duration::try_from_secs_f64(thinks / 1e9).unwrap_or(Duration::MAX);
                    sleep_until(later(crate::time::now(), pause.max(TICK))).await;
                    if load.record.elapsed() >= load.run_for {
                        return;
                    }
                    let client = load.client();
                    client.ask().await;
                }
            });
        }
    }

    /// The next of the closed clients.
    fn client_number(&mut self) -> u32 {
        self.sent += 1;
        u32::try_from(self.sent).unwrap_or(u32::MAX)
    }

    /// One request, ready to be asked.
    fn client(&mut self) -> Client<S> {
        let id = u64::from(self.index) << 56 | self.sent;
        self.sent += 1;
        let from = self.record.elapsed();
        let end = later(self.record.start(), from.saturating_add(self.clients.deadline));
        let key = if self.clients.keys > 1 { self.rng.below(self.clients.keys) } else { 0 };
        self.record.offered(self.index, id, from);
        Client {
            request: Request::new(id, key, Deadline::at(end), self.index),
            attempts: self.clients.attempts,
            timeout: self.clients.timeout,
            pause: self.clients.pause,
            whim: self.whim.clone(),
            stack: self.stack.clone(),
            ending: Ending { record: Arc::clone(&self.record), client: self.index, id, from },
        }
    }
}

/// A client with one request.
struct Client<S> {
    request: Request,
    attempts: u32,
    timeout: Option<Duration>,
    pause: Duration,
    whim: Whim,
    stack: S,
    ending: Ending,
}

impl<S> Client<S>
where
    S: Service<Request> + Clone,
    S::Error: Into<BoxError>,
{
    async fn ask(mut self) {
        let mut attempt = 1;
        let end = loop {
            let end = self.attempt().await;
            if end == End::Answered || attempt >= self.attempts {
                break end;
            }
            attempt += 1;
            if !self.pause.is_zero() {
                sleep_until(later(crate::time::now(), self.pause)).await;
            }
        };
        self.ending.tell(end, attempt);
    }

    async fn attempt(&mut self) -> End {
        self.whim.hesitate().await;
        let mut stack = self.stack.clone();
        let request = self.request.clone();
        let call = async move {
            poll_fn(|cx| stack.poll_ready(cx)).await?;
            stack.call(request).await
        };
        let outcome = match self.timeout {
            None => call.await,
            Some(timeout) => match tokio::time::timeout(timeout, call).await {
                Ok(outcome) => outcome,
                Err(_) => return End::TimedOut,
            },
        };
        match outcome {
            Ok(_) => End::Answered,
            Err(error) => {
                let error: BoxError = error.into();
                match Rejected::find(&*error) {
                    Some(rejected) => End::Refused(rejected.reason()),
                    None => End::Failed,
                }
            }
        }
    }
}

/// Tells the record how a request ended.
struct Ending {
    record: Arc<Record>,
    client: u32,
    id: u64,
    from: Duration,
}

impl Ending {
    fn tell(&self, end: End, attempts: u32) {
        self.record.ended(self.client, self.id, end, attempts, self.from);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        // The runtime swallows the panic of a task.
        if std::thread::panicking() {
            self.tell(End::Panicked, 0);
        }
    }
}
