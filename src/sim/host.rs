//! A simulated server: the station behind a lock, its timer, and the callers who wait.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::task::JoinSet;
use tower_service::Service;

use super::faults::Condition;
use super::record::{Mark, Record};
use super::request::{Failure, Request, Response};
use super::server::{Cancellation, Server};
use super::station::{Done, Job, Refused, Station, Ticket};
use crate::rng::Rng;
use crate::sync::{Mutex, lock};
use crate::time::{Sleep, sleep_until};

/// One server of the run.
pub(super) struct Host {
    pub(super) index: u32,
    pub(super) cancellation: Cancellation,
    pub(super) record: Arc<Record>,
    pub(super) core: Mutex<Core>,
}

pub(super) struct Core {
    pub(super) station: Station,
    /// Whether a stack stands before the workers: what they answer to that crosses no wire.
    pub(super) fronted: bool,
    calls: Vec<Call>,
    free: Vec<Ticket>,
    /// Fires when the next job is done.
    timer: Pin<Box<Sleep>>,
    armed: f64,
    ended: Vec<(Ticket, Done)>,
    pub(super) wire: Rng,
    /// The calls in the stack before the workers.
    pub(super) tasks: JoinSet<()>,
}

/// A request in the station, seen from outside.
struct Call {
    request: u64,
    state: CallState,
}

enum CallState {
    Waiting(Option<Waker>),
    Ended(Done),
    /// No answer will come.
    Lost,
    /// Nobody waits for the answer.
    Left,
}

impl Host {
    pub(super) fn new(
        index: u32,
        server: &Server,
        (work, wire): (u64, u64),
        record: &Arc<Record>,
    ) -> Arc<Self> {
        let start = record.start();
        let core = Core {
            station: Station::new(server.clone(), work),
            fronted: false,
            calls: Vec::new(),
            free: Vec::new(),
            // A box, since it must not move while it is in the runtime's wheel.
            timer: Box::pin(sleep_until(start)),
            armed: f64::INFINITY,
            ended: Vec::new(),
            wire: Rng::new(Some(wire)),
            tasks: JoinSet::new(),
        };
        Arc::new(Self {
            index,
            cancellation: server.cancellation,
            record: Arc::clone(record),
            core: Mutex::new(core),
        })
    }

    /// Ends work when its time has come, for as long as the run lasts.
    pub(super) async fn run(self: Arc<Self>) {
        poll_fn(|cx| {
            let mut core = lock(&self.core);
            while core.timer.as_mut().poll(cx).is_ready() {
                core.armed = f64::INFINITY;
                core = self
                    .with(core, |core, now| {
                        let Core { station, ended, .. } = core;
                        station.advance(now, ended);
                    })
                    .1;
                if core.armed.is_infinite() {
                    // Nothing to wait for: but keep the waker in a timer that can be set.
                    self.arm(&mut core, f64::MAX);
                }
            }
            Poll::<()>::Pending
        })
        .await;
    }

    /// The faults changed.
    pub(super) fn change(&self, condition: Condition) {
        self.record.server(self.index, Mark::Changed, 0);
        let core = lock(&self.core);
        let ((), mut core) = self.with(core, |core, now| {
            let Core { station, ended, .. } = core;
            station.change(condition, now, ended);
        });
        if condition.down.is_some() {
            core.tasks.abort_all();
        }
    }

    /// Does something to the station, tells the callers what it ended, and sets the timer anew.
    fn with<'a, T>(
        &'a self,
        mut core: std::sync::MutexGuard<'a, Core>,
        act: impl FnOnce(&mut Core, f64) -> T,
    ) -> (T, std::sync::MutexGuard<'a, Core>) {
        let at = self.record.elapsed();
        #[allow(clippy::cast_precision_loss, reason = "exact for a hundred days")]
        let now = at.as_nanos() as f64;
        let result = act(&mut core, now);
        let woken = self.deliver(&mut core, at);
        if let Some(next) = core.station.next()
            && next < core.armed
        {
            self.arm(&mut core, next);
        }
        if !woken.is_empty() {
            drop(core);
            woken.into_iter().for_each(Waker::wake);
            core = lock(&self.core);
        }
        (result, core)
    }

    fn arm(&self, core: &mut Core, at: f64) {
        // Rounded up: a timer that fires before the job is done would be set again, for ever.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let wait = Duration::from_nanos(at.ceil() as u64);
        core.armed = at;
        core.timer.as_mut().reset(crate::time::later(self.record.start(), wait));
    }

    fn deliver(&self, core: &mut Core, at: Duration) -> Vec<Waker> {
        let mut woken = Vec::new();
        let mut ended = std::mem::take(&mut core.ended);
        for (ticket, done) in ended.drain(..) {
            let condition = *core.station.condition();
            let call = &mut core.calls[ticket as usize];
            let mark = match done {
                Done::Completed => Mark::Completed,
                Done::Failed => Mark::Failed,
                Done::Reset | Done::Silent => Mark::Reset,
            };
            self.record.server(self.index, mark, call.request);
            if matches!(call.state, CallState::Left) {
                core.free.push(ticket);
                continue;
            }
            let lost = done == Done::Silent || (!core.fronted && cut(&condition, &mut core.wire));
            let next = if lost { CallState::Lost } else { CallState::Ended(done) };
            if lost {
                self.record.server(self.index, Mark::Cut, call.request);
            }
            if let CallState::Waiting(Some(waker)) = std::mem::replace(&mut call.state, next)
                && !lost
            {
                woken.push(waker);
            }
        }
        core.ended = ended;
        let (busy, waiting) = core.station.load();
        self.record.load(self.index, at, busy, waiting);
        woken
    }

    /// Takes in a request, past the wire.
    fn arrive(&self, request: &Request) -> Result<(Ticket, Job), Refused> {
        self.record.server(self.index, Mark::Arrived, request.id);
        let core = lock(&self.core);
        let (result, mut core) = self.with(core, |core, now| {
            let call = Call { request: request.id, state: CallState::Waiting(None) };
            let ticket = core.free.pop().unwrap_or_else(|| {
                core.calls.push(Call { request: 0, state: CallState::Left });
                u32::try_from(core.calls.len() - 1).expect("fewer than 2^32 requests at once")
            });
            core.calls[ticket as usize] = call;
            let Core { station, ended, .. } = core;
            (ticket, station.arrive(ticket, now, ended))
        });
        match result {
            (ticket, Ok(job)) => Ok((ticket, job)),
            (ticket, Err(refused)) => {
                core.free.push(ticket);
                drop(core);
                self.record.server(self.index, Mark::Refused, request.id);
                Err(refused)
            }
        }
    }

    fn leave(&self, ticket: Ticket, job: Job) {
        let mut core = lock(&self.core);
        let call = &mut core.calls[ticket as usize];
        let request = call.request;
        match std::mem::replace(&mut call.state, CallState::Left) {
            CallState::Waiting(_) if self.cancellation == Cancellation::Stops => {
                let (stopped, mut core) = self.with(core, |core, now| {
                    let Core { station, ended, .. } = core;
                    station.cancel(job, now, ended)
                });
                // If not, it was done in this very moment, and is entered as that.
                if stopped {
                    core.free.push(ticket);
                    self.record.server(self.index, Mark::Cancelled, request);
                }
            }
            CallState::Waiting(_) => self.record.server(self.index, Mark::Unheard, request),
            CallState::Ended(_) | CallState::Lost | CallState::Left => core.free.push(ticket),
        }
    }
}

/// Whether this answer does not get back.
pub(super) fn cut(condition: &Condition, wire: &mut Rng) -> bool {
    condition.partitioned
        || (condition.lost_replies > 0.0 && wire.fraction() < condition.lost_replies)
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("index", &self.index).finish_non_exhaustive()
    }
}

/// The workers of a simulated server, for the stack that stands before them: see
/// [`World::server_behind`](super::World::server_behind).
#[derive(Clone, Debug)]
pub struct Workers {
    host: Arc<Host>,
}

impl Workers {
    pub(super) fn new(host: Arc<Host>) -> Self {
        Self { host }
    }
}

impl Service<Request> for Workers {
    type Response = Response;
    type Error = Failure;
    type Future = Work;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Work {
        Work::new(Arc::clone(&self.host), request)
    }
}

/// The response future of [`Workers`].
#[derive(Debug)]
pub struct Work {
    pub(super) host: Arc<Host>,
    pub(super) request: Request,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    New,
    In(Ticket, Job),
    /// No answer will come.
    Lost,
    Over,
}

impl Work {
    pub(super) fn new(host: Arc<Host>, request: Request) -> Self {
        Self { host, request, stage: Stage::New }
    }
}

impl Future for Work {
    type Output = Result<Response, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Stage::New = self.stage {
            self.stage = match self.host.arrive(&self.request) {
                Ok((ticket, job)) => Stage::In(ticket, job),
                Err(Refused::Silent) => Stage::Lost,
                Err(refused) => {
                    self.stage = Stage::Over;
                    return Poll::Ready(Err(match refused {
                        Refused::LineFull => Failure::Overloaded { retry_after: None },
                        Refused::Unreachable | Refused::Silent => Failure::Unreachable,
                    }));
                }
            };
        }
        let Stage::In(ticket, _) = self.stage else { return Poll::Pending };
        let mut core = lock(&self.host.core);
        let call = &mut core.calls[ticket as usize];
        let done = match &mut call.state {
            CallState::Waiting(waker) => {
                match waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    None => *waker = Some(cx.waker().clone()),
                }
                return Poll::Pending;
            }
            CallState::Lost | CallState::Left => return Poll::Pending,
            CallState::Ended(done) => *done,
        };
        core.free.push(ticket);
        drop(core);
        self.stage = Stage::Over;
        Poll::Ready(match done {
            Done::Completed => Ok(Response::to(&self.request)),
            Done::Failed => Err(Failure::Failed),
            Done::Reset | Done::Silent => Err(Failure::Reset),
        })
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Stage::In(ticket, job) = self.stage {
            self.host.leave(ticket, job);
        }
    }
}
