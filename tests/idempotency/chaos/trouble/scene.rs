//! Three instances, sixteen clients, two hundred keys, and what happens to them.

use std::collections::BTreeSet;
use std::mem;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress::idempotency::DynStore;
use futures::future::join_all;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::task::{block_in_place, spawn_blocking};
use tokio::time::{Instant, sleep};

use super::super::app::{Instance, Plan, Times};
use super::super::caller::{Answer, Order};
use super::super::child::{Process, Setup};
use super::super::ledger::Ledger;
use super::super::place::{Place, record_key};
use super::history::{Call, History, View};
use crate::support::proxy::{Mode, Proxy};
use crate::support::servers;

pub(super) const KEYS: usize = 200;
const CLIENTS: u64 = 16;
/// How many of the newest keys most requests are about.
const RECENT: usize = 12;

pub(super) struct Scene {
    seed: u64,
    place: Place,
    proxies: Vec<Proxy>,
    /// The last is of the child.
    setups: Vec<Setup>,
    /// Those in this process.
    instances: Vec<Instance>,
    child: Option<Process>,
    store: Arc<dyn DynStore>,
    stage: Arc<Stage>,
}

/// What all who play have in common.
struct Stage {
    since: Instant,
    lasts: Mutex<Duration>,
    over: AtomicBool,
    addresses: Mutex<Vec<SocketAddr>>,
    calls: Mutex<Vec<Call>>,
    views: Mutex<Vec<View>>,
    /// The keys that have a final answer.
    ended: Mutex<BTreeSet<usize>>,
}

fn order(key: usize) -> Order {
    let (tenant, name) = (format!("t{}", key % 2), format!("k{}", key / 2));
    Order { tenant, key: name, body: format!("tea {key}") }
}

impl Stage {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// How many keys there are by now.
    fn keys(&self) -> usize {
        let millis = |duration: Duration| usize::try_from(duration.as_millis()).unwrap();
        let lasts = millis(*self.lasts.lock().unwrap());
        // All of them some time before the end.
        (KEYS * 11 * millis(self.since.elapsed()) / (10 * lasts)).clamp(1, KEYS)
    }

    fn note(&self, order: &Order, answer: Option<Answer>) {
        self.calls.lock().unwrap().push(Call { order: order.clone(), answer });
    }

    fn any_address(&self, rng: &mut SmallRng) -> SocketAddr {
        let addresses = self.addresses.lock().unwrap();
        addresses[rng.random_range(0..addresses.len())]
    }
}

impl Scene {
    pub(super) async fn set(place: Place, seed: u64) -> Self {
        let (mut proxies, mut setups, mut instances) = (Vec::new(), Vec::new(), Vec::new());
        let ledger = Ledger::table().await;
        let milliseconds = Duration::from_millis;
        let plan = Plan {
            before: milliseconds(20),
            after: milliseconds(5),
            flaky: true,
            ..Plan::default()
        };
        for _ in 0..3 {
            let proxy = Proxy::to(place.server()).await;
            let place = place.through(proxy.address());
            setups.push(Setup { place, ledger: ledger.clone(), plan, times: Times::SHORT });
            proxies.push(proxy);
        }
        for setup in &setups[..2] {
            instances.push(setup.here().await);
        }
        let child = block_in_place(|| setups[2].elsewhere(None));
        let mut addresses: Vec<_> = instances.iter().map(|instance| instance.address).collect();
        addresses.push(child.address);
        let store = place.open(Duration::from_secs(5)).await;
        let stage = Arc::new(Stage {
            since: Instant::now(),
            lasts: Mutex::default(),
            over: AtomicBool::new(false),
            addresses: Mutex::new(addresses),
            calls: Mutex::default(),
            views: Mutex::default(),
            ended: Mutex::default(),
        });
        Self { seed, place, proxies, setups, instances, child: Some(child), store, stage }
    }

    pub(super) async fn play(mut self, lasts: Duration) -> History {
        *self.stage.lasts.lock().unwrap() = lasts;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let rng = SmallRng::seed_from_u64(self.seed.wrapping_add(client));
                tokio::spawn(client_of(self.stage.clone(), rng))
            })
            .collect();
        let reader = tokio::spawn(read(self.stage.clone(), self.store.clone(), self.seed));
        let mut child = self.child.take().unwrap();
        tokio::join!(self.torment(), self.terminate(), self.torment_child(&mut child, lasts));
        for proxy in &self.proxies {
            proxy.set(Mode::Pass);
        }
        self.stage.over.store(true, Ordering::Relaxed);
        for client in join_all(clients).await {
            client.unwrap();
        }
        reader.await.unwrap();
        self.finish().await
    }

    /// Everybody gets an answer in the end; and then everything is at rest.
    async fn finish(self) -> History {
        let stage = &self.stage;
        let mut rng = SmallRng::seed_from_u64(self.seed);
        for key in 0..KEYS {
            until_final(stage, &order(key), &mut rng).await;
        }
        for instance in &self.instances {
            let drained = instance.handle.drain(Duration::from_secs(10)).await;
            assert_eq!(drained.running, 0);
        }
        for key in 0..KEYS {
            view(stage, &*self.store, key).await;
        }
        let notes = self.setups[0].ledger.notes().await;
        History {
            calls: mem::take(&mut *stage.calls.lock().unwrap()),
            notes,
            views: mem::take(&mut *stage.views.lock().unwrap()),
            lease: Times::SHORT.lease,
            patience: Duration::from_secs(6),
        }
    }

    /// One proxy at a time, for longer than a call may take and for less.
    async fn torment(&self) {
        let mut rng = SmallRng::seed_from_u64(!self.seed);
        while self.stage.since.elapsed() < *self.stage.lasts.lock().unwrap() {
            sleep(Duration::from_millis(rng.random_range(50..300))).await;
            let proxy = &self.proxies[rng.random_range(0..self.proxies.len())];
            proxy.set(match rng.random_range(0..4) {
                0 => Mode::Refuse,
                1 => Mode::BlackHole,
                2 => Mode::CutAfterRequest,
                _ => Mode::Delay(Duration::from_millis(rng.random_range(20..250))),
            });
            sleep(Duration::from_millis(rng.random_range(30..500))).await;
            proxy.set(Mode::Pass);
        }
    }

    /// Ends connections at the server's end.
    async fn terminate(&self) {
        let Some((_, name)) = self.place.url().split_once("application_name=") else { return };
        let terminate = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE application_name = '{name}' AND random() < 0.5"
        );
        while self.stage.since.elapsed() < *self.stage.lasts.lock().unwrap() {
            sleep(Duration::from_millis(700)).await;
            servers::sql(&servers::postgres(), &terminate).await;
        }
    }

    /// Stops it for longer than a lease, kills it, starts another, and stops that as well.
    async fn torment_child(&self, child: &mut Process, lasts: Duration) {
        for part in 1..=3 {
            sleep(lasts / 4).await;
            // So that it holds a few claims.
            for key in KEYS - 4 * part..KEYS - 4 * (part - 1) {
                let (stage, to) = (self.stage.clone(), child.address);
                tokio::spawn(async move {
                    let order = order(key);
                    let answer = order.send(to).await.ok();
                    stage.note(&order, answer);
                });
            }
            sleep(Duration::from_millis(15)).await;
            if part == 2 {
                block_in_place(|| child.kill());
                sleep(Duration::from_secs(1)).await;
                // While the trouble goes on, so not in its place.
                let setup = self.setups[2].clone();
                *child = spawn_blocking(move || setup.elsewhere(None)).await.unwrap();
                self.stage.addresses.lock().unwrap()[2] = child.address;
            } else {
                child.stop();
                sleep(Times::SHORT.lease * 2).await;
                child.resume();
            }
        }
    }
}

/// Repeats each order that it begins until it has its final answer.
async fn client_of(stage: Arc<Stage>, mut rng: SmallRng) {
    while !stage.is_over() {
        let keys = stage.keys();
        let from = if rng.random_bool(0.8) { keys.saturating_sub(RECENT) } else { 0 };
        let key = rng.random_range(from..keys);
        let has_ended = stage.ended.lock().unwrap().contains(&key);
        if has_ended && rng.random_bool(0.1) {
            // Another request with the same key.
            let other = Order { body: format!("coffee {key}"), ..order(key) };
            let answer = other.send(stage.any_address(&mut rng)).await.ok();
            stage.note(&other, answer);
        } else {
            until_final(&stage, &order(key), &mut rng).await;
            stage.ended.lock().unwrap().insert(key);
        }
        sleep(Duration::from_millis(rng.random_range(5..40))).await;
    }
}

async fn until_final(stage: &Stage, order: &Order, rng: &mut SmallRng) {
    let until = Instant::now() + Duration::from_secs(40);
    loop {
        let to = stage.any_address(rng);
        let leaves = !stage.is_over() && rng.random_bool(0.15);
        let answer = if leaves {
            let after = Duration::from_millis(rng.random_range(0..25));
            // Whether it got that far makes no difference to who has left.
            let _ = order.send_and_leave(to, after).await;
            None
        } else {
            order.send(to).await.ok()
        };
        stage.note(order, answer.clone());
        if answer.as_ref().is_some_and(Answer::is_final) {
            return;
        }
        assert!(Instant::now() < until, "no final answer to {order:?}, but {answer:?}");
        sleep(Duration::from_millis(rng.random_range(10..60))).await;
    }
}

/// Looks at records, most of them recent.
async fn read(stage: Arc<Stage>, store: Arc<dyn DynStore>, seed: u64) {
    let mut rng = SmallRng::seed_from_u64(seed ^ 1);
    while !stage.is_over() {
        let keys = stage.keys();
        for key in keys.saturating_sub(RECENT)..keys {
            view(&stage, &*store, key).await;
        }
        view(&stage, &*store, rng.random_range(0..keys)).await;
        sleep(Duration::from_millis(100)).await;
    }
}

async fn view(stage: &Stage, store: &dyn DynStore, key: usize) {
    let order = order(key);
    let at = stage.since.elapsed();
    // The reader's own connection may be cut as well.
    let Ok(Some(record)) = store.dyn_inspect(&record_key(&order.tenant, &order.key)).await else {
        return;
    };
    let key = Call { order, answer: None }.key();
    stage.views.lock().unwrap().push(View {
        key,
        at,
        state: record.state,
        fence: record.fence.get(),
        attempt: record.attempt,
        length: record.payload_len,
        lease: record.lease_remaining.unwrap_or_default(),
    });
}
