//! The wiring of a run: which stack stands between which clients and which server.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tower_service::Service;

use super::endpoint::{Endpoint, Front};
use super::faults::Condition;
use super::host::{Host, Workers};
use super::interleave::{InterleaveLayer, Whim};
use super::load::Load;
use super::plan::Plan;
use super::record::{Observer, Record, moment_of};
use super::report::{ClientReport, ServerReport};
use super::request::{Failure, Request, Response};
use crate::error::BoxError;
use crate::rejected::{Reason, Rejected};
use crate::rng::Rng;
use crate::time::{later, sleep_until};

/// What a run is made of, while it is wired together: handed to the closure of
/// [`Sim::run`](super::Sim::run), inside the runtime of the run.
pub struct World<'a> {
    plan: &'a Plan,
    seed: u64,
    record: Arc<Record>,
    pub(super) hosts: Vec<(String, Arc<Host>)>,
    pub(super) clients: Vec<String>,
    pub(super) sometimes: Vec<(String, Sometimes)>,
    pub(super) idle: Vec<(String, Gauge)>,
}

pub(super) type Gauge = Box<dyn Fn() -> usize>;

impl<'a> World<'a> {
    pub(super) fn new(plan: &'a Plan, seed: u64, record: &Arc<Record>) -> Self {
        let record = Arc::clone(record);
        let moment = moment_of(plan.run_for);
        // In the order of their names, as in the report.
        let clients = plan.clients.values().map(|c| ClientReport::of(c, moment)).collect();
        record.read(|book| book.clients = clients);
        Self {
            plan,
            seed,
            record,
            hosts: Vec::new(),
            clients: Vec::new(),
            sometimes: Vec::new(),
            idle: Vec::new(),
        }
    }

    /// The server of that name, as its clients see it.
    ///
    /// # Panics
    ///
    /// If the plan has no server of that name, or it was asked for before: clone it.
    pub fn server(&mut self, name: &str) -> Endpoint {
        Endpoint::new(self.host(name), None)
    }

    /// The same, with a stack of its own before its workers: `stack` is handed the workers as a
    /// service, and what it returns answers the requests, each in a task of the server, that goes
    /// on when the client has gone, unless the plan says [`Cancellation::Stops`].
    ///
    /// A stack that calls other servers makes a call chain: see [`Workers::then`].
    /// Clients see its refusals as [`Failure::Overloaded`], its timeouts as [`Failure::Failed`].
    ///
    /// [`Cancellation::Stops`]: super::Cancellation::Stops
    ///
    /// # Panics
    ///
    /// If the plan has no server of that name, or it was asked for before: clone it.
    pub fn server_behind<S>(&mut self, name: &str, stack: impl FnOnce(Workers) -> S) -> Endpoint
    where
        S: Service<Request, Response = Response> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError> + Send,
    {
        let host = self.host(name);
        crate::sync::lock(&host.core).fronted = true;
        let stack = stack(Workers::new(Arc::clone(&host)));
        let front: Front = Arc::new(move |request| {
            let mut stack = stack.clone();
            // A box, since the type of the stack is not that of the endpoint.
            Box::pin(async move {
                let answer = async {
                    poll_fn(|cx| stack.poll_ready(cx)).await?;
                    stack.call(request).await
                };
                answer.await.map_err(|error: S::Error| as_answer(&error.into()))
            })
        });
        Endpoint::new(host, Some(front))
    }

    /// Lets the clients of that name call `stack`, each request on a clone of it.
    ///
    /// # Panics
    ///
    /// If the plan has no clients of that name, or they have a stack already.
    pub fn clients<S>(&mut self, name: &str, stack: S)
    where
        S: Service<Request> + Clone + Send + 'static,
        S::Future: Send,
        S::Response: Send,
        S::Error: Into<BoxError> + Send,
    {
        let known = || self.plan.clients.keys().collect::<Vec<_>>();
        let Some(clients) = self.plan.clients.get(name) else {
            panic!("the plan has no clients {name:?}: it has {:?}", known());
        };
        assert!(!self.clients.iter().any(|n| n == name), "clients {name:?} have a stack already");
        self.clients.push(name.to_owned());
        let index = self.plan.clients.keys().position(|known| known == name).unwrap_or_default();
        let load = Load {
            index: u32::try_from(index).expect("fewer than 2^32 groups of clients"),
            clients: clients.clone(),
            run_for: self.plan.run_for,
            record: Arc::clone(&self.record),
            rng: Rng::new(Some(self.seed(&format!("clients {name}")))),
            whim: Whim::new(self.seed(&format!("order {name}"))),
            stack,
            sent: 0,
        };
        tokio::spawn(load.run());
    }

    /// A seed for a part of the stack: the same for the same run and name, another for another
    /// name. Whatever draws by chance must be given one: `RetryLayer::builder(..).seed(..)`.
    #[must_use]
    pub fn seed(&self, name: &str) -> u64 {
        derive(self.seed, name)
    }

    /// The seed of the run, for a stack that differs from seed to seed, as the plan of
    /// [`Check::of`](super::Check::of) may.
    #[must_use]
    pub fn seed_of_run(&self) -> u64 {
        self.seed
    }

    /// Takes the events of a layer into the trace and the report: `.observe(world.observer())`.
    #[must_use]
    pub fn observer(&self) -> Observer {
        Observer::new(&self.record)
    }

    /// A layer that lets one call in four begin after others of the same moment, by seed: put it
    /// between layers to try other orders of execution.
    #[must_use]
    pub fn interleave(&self, name: &str) -> InterleaveLayer {
        InterleaveLayer::new(Whim::new(self.seed(&format!("interleave {name}"))))
    }

    /// An invariant: asked after every event. The first `Err` ends the run, and is in the report
    /// with the number of the event. `holds` may read handles; it must not drive the stack.
    pub fn always(
        &mut self,
        name: impl Into<String>,
        holds: impl Fn() -> Result<(), String> + Send + 'static,
    ) {
        self.record.always((name.into(), Box::new(holds)));
    }

    /// Something that has to happen, in some of the runs at least: a storm that never opened a
    /// circuit proves nothing about circuits. Call [`Sometimes::happened`] where it does.
    #[must_use]
    pub fn sometimes(&mut self, name: impl Into<String>) -> Sometimes {
        let sometimes = Sometimes::default();
        self.sometimes.push((name.into(), sometimes.clone()));
        sometimes
    }

    /// Something that must be 0 when the run is over and all its tasks are gone: permits, calls in
    /// flight.
    pub fn idle(&mut self, name: impl Into<String>, left: impl Fn() -> usize + 'static) {
        self.idle.push((name.into(), Box::new(left)));
    }

    /// Does something at a time of the run: opens a circuit by hand, resizes a bulkhead.
    pub fn at(&mut self, when: Duration, act: impl FnOnce() + Send + 'static) {
        let due = later(self.record.start(), when);
        tokio::spawn(async move {
            sleep_until(due).await;
            act();
        });
    }

    /// That every group of clients has a stack.
    pub(super) fn assert_wired(&self) {
        let idle: Vec<_> = self.plan.clients.keys().filter(|c| !self.clients.contains(c)).collect();
        assert!(idle.is_empty(), "clients {idle:?} have no stack: `world.clients(name, stack)`");
    }

    fn host(&mut self, name: &str) -> Arc<Host> {
        let Some(server) = self.plan.servers.get(name) else {
            let known: Vec<_> = self.plan.servers.keys().collect();
            panic!("the plan has no server {name:?}: it has {known:?}");
        };
        assert!(
            !self.hosts.iter().any(|(known, _)| known == name),
            "server {name:?} was asked for before: clone the endpoint"
        );
        let index = u32::try_from(self.hosts.len()).expect("fewer than 2^32 servers");
        let seeds = (self.seed(&format!("work {name}")), self.seed(&format!("wire {name}")));
        let host = Host::new(index, server, seeds, &self.record);
        self.record.read(|book| book.servers.push(ServerReport::new(moment_of(self.plan.run_for))));
        self.hosts.push((name.to_owned(), Arc::clone(&host)));
        tokio::spawn(Arc::clone(&host).run());
        self.schedule_faults(name, &host);
        host
    }

    fn schedule_faults(&self, name: &str, host: &Arc<Host>) {
        let faults = self.plan.faults.clone();
        let of_server = faults.0.iter().filter(|fault| fault.server == name);
        let mut changes: Vec<_> = of_server.flat_map(|fault| [fault.from, fault.until()]).collect();
        changes.sort_unstable();
        changes.dedup();
        if changes.is_empty() {
            return;
        }
        let (name, host) = (name.to_owned(), Arc::clone(host));
        let start = self.record.start();
        tokio::spawn(async move {
            for at in changes {
                sleep_until(later(start, at)).await;
                host.change(Condition::at(&faults, &name, at));
            }
        });
    }
}

impl fmt::Debug for World<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("seed", &self.seed).finish_non_exhaustive()
    }
}

/// What the client of a server reads, where the server's own stack ended with an error.
fn as_answer(error: &BoxError) -> Failure {
    if let Some(failure) = Failure::find(&**error) {
        return *failure;
    }
    match Rejected::find(&**error) {
        Some(rejected) => match rejected.reason() {
            Reason::TimedOut | Reason::DeadlineExceeded => Failure::Failed,
            _ => Failure::Overloaded { retry_after: rejected.retry_after() },
        },
        None => Failure::Failed,
    }
}

/// A seed of a seed, by name (FNV-1a, then the finalizer of `SplitMix64`).
fn derive(seed: u64, name: &str) -> u64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64 ^ seed, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Counts how often something happened: see [`World::sometimes`].
#[derive(Clone, Debug, Default)]
pub struct Sometimes {
    count: Arc<AtomicU64>,
}

impl Sometimes {
    /// It did, once more.
    pub fn happened(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it did.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}
