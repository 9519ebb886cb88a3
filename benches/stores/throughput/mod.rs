//! Requests a second over real servers, through a store and without it: the very same commands, over
//! the same connections, by somebody who wants nothing but their answers.
//!
//! The servers are this process's own, on loopback, as in the tests: a request costs the server so
//! little that what the store adds weighs as much as it ever will. One thread is the client, and
//! spends all of its time on it when there are many at once.
//!
//! They are measured in turn, raw, store, store, raw, so that what else the machine does hits both
//! alike, and such a turn gives one ratio. The table has the median of these, and the quartiles. CPU
//! is what the client's thread used for a request, by the kernel's account: the runtime and the
//! client of Redis or PostgreSQL have their part in it, the server has none.

mod postgres;
mod redis;
#[path = "../../../tests/idempotency/support/servers.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod servers;

use std::fs;
use std::future::Future;
use std::time::{Duration, Instant};

use buttress::idempotency::{Begin, BeginRequest, Fenced, Store, StoredOutcome};
use bytes::Bytes;
use servers::Server;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use crate::{RETENTION, request};

/// What has requests to run.
trait Client: Clone + Send + 'static {
    /// Begins it, which must succeed, and completes it with what [`answer`] gives.
    fn run(&self, request: BeginRequest) -> impl Future<Output = ()> + Send;
}

#[derive(Clone)]
struct Through<S>(S);

impl<S: Store + Clone + 'static> Client for Through<S> {
    async fn run(&self, request: BeginRequest) {
        let claim = match self.0.begin(request).await.expect("an answer") {
            Begin::Acquired(claim) => claim,
            other => panic!("{other:?}"),
        };
        let fenced = self.0.complete(&claim, answer(), RETENTION).await.expect("an answer");
        assert_eq!(fenced, Fenced::Applied);
    }
}

fn answer() -> StoredOutcome {
    StoredOutcome::new(200, Bytes::from_static(&[7; 100]))
}

/// How much is measured.
#[derive(Clone, Copy)]
struct Plan {
    pairs: usize,
    /// Of one run.
    length: Duration,
    /// Requests that tell how many such a run needs.
    first: usize,
}

const MEASURED: Plan = Plan { pairs: 31, length: Duration::from_millis(80), first: 200 };

/// A few requests: that they run, not how fast.
const TRIED: Plan = Plan { pairs: 1, length: Duration::ZERO, first: 32 };

pub(crate) fn table() {
    let plan = if std::env::args().any(|arg| arg == "--test") { TRIED } else { MEASURED };
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    println!("begin + complete, requests/s:");
    let server = Server::redis(&[]);
    let (raw, store) = runtime.block_on(redis::clients(&server.url()));
    rows("Redis", &runtime, plan, &raw, &store);
    let server = Server::postgres(&[]);
    let (raw, store) = runtime.block_on(postgres::clients(&server.url()));
    rows("PostgreSQL", &runtime, plan, &raw, &store);
}

fn rows<S>(server: &str, runtime: &Runtime, plan: Plan, raw: &impl Client, store: &S)
where
    S: Store + Clone,
{
    let mut fresh = Fresh(0);
    runtime.block_on(leaves_the_same(raw, store, &mut fresh));
    let store = Through(store.clone());
    for at_once in [1, 16] {
        let [mut raws, mut stores] = [Vec::new(), Vec::new()];
        let many = fresh.enough(runtime, raw, at_once, plan);
        // The first makes the connections warm, and is left out.
        fresh.run(runtime, &store, at_once, many);
        for _ in 0..plan.pairs {
            let a = fresh.run(runtime, raw, at_once, many);
            let b = fresh.run(runtime, &store, at_once, many);
            let c = fresh.run(runtime, &store, at_once, many);
            let d = fresh.run(runtime, raw, at_once, many);
            raws.push(a.and(d));
            stores.push(b.and(c));
        }
        report(&format!("{server}, {at_once} at once"), &raws, &stores);
    }
}

/// Fails unless the store takes what the raw commands have left for a request of its own.
async fn leaves_the_same(raw: &impl Client, store: &impl Store, fresh: &mut Fresh) {
    let request = fresh.requests(1).remove(0);
    raw.run(request.clone()).await;
    let replayed = store.begin(request).await.expect("an answer");
    assert!(matches!(&replayed, Begin::Completed(left) if *left == answer()), "{replayed:?}");
}

/// Requests that there have not been yet, from this number on.
struct Fresh(usize);

impl Fresh {
    fn requests(&mut self, many: usize) -> Vec<BeginRequest> {
        let requests = (self.0..self.0 + many).map(request).collect();
        self.0 += many;
        requests
    }

    /// So many last a run of the plan.
    fn enough(
        &mut self,
        runtime: &Runtime,
        raw: &impl Client,
        at_once: usize,
        plan: Plan,
    ) -> usize {
        let first = self.run(runtime, raw, at_once, plan.first);
        let runs = plan.length.as_nanos().div_ceil(first.time.as_nanos());
        plan.first * usize::try_from(runs).expect("few").max(1)
    }

    /// Requests one after the other, in so many tasks.
    fn run(&mut self, runtime: &Runtime, client: &impl Client, at_once: usize, many: usize) -> Run {
        let mut requests = self.requests(many);
        let each = many.div_ceil(at_once);
        let work: Vec<_> =
            (0..at_once).map(|_| requests.split_off(requests.len().saturating_sub(each))).collect();
        let (start, used) = (Instant::now(), cpu());
        runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for requests in work {
                let client = client.clone();
                tasks.spawn(async move {
                    for request in requests {
                        client.run(request).await;
                    }
                });
            }
            tasks.join_all().await;
        });
        Run { requests: many, time: start.elapsed(), cpu: cpu().saturating_sub(used) }
    }
}

/// What requests took.
#[derive(Clone, Copy)]
struct Run {
    requests: usize,
    time: Duration,
    cpu: Duration,
}

impl Run {
    fn and(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            time: self.time + other.time,
            cpu: self.cpu + other.cpu,
        }
    }

    fn rate(&self) -> f64 {
        self.requests as f64 / self.time.as_secs_f64()
    }

    /// Of a request, in microseconds.
    fn cpu(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests as f64
    }
}

/// What this thread has used so far. Nothing where the kernel does not tell.
fn cpu() -> Duration {
    let account = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = account.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

fn report(what: &str, raws: &[Run], stores: &[Run]) {
    let median =
        |runs: &[Run], figure: fn(&Run) -> f64| quartiles(runs.iter().map(figure).collect())[1];
    let ratios = raws.iter().zip(stores).map(|(raw, store)| store.rate() / raw.rate());
    let [low, ratio, high] = quartiles(ratios.collect());
    println!(
        "{what:>23}: raw {:6.0}, store {:6.0}, ratio {ratio:.2} ({low:.2} .. {high:.2}), \
         target >= 0.80; CPU raw {:4.1} us, store {:4.1} us",
        median(raws, Run::rate),
        median(stores, Run::rate),
        median(raws, Run::cpu),
        median(stores, Run::cpu),
    );
}

/// The lower quartile, the median, the upper quartile.
fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len() - 1;
    [last / 4, last / 2, last - last / 4].map(|place| values[place])
}
