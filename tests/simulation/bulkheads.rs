//! Scenarios 23 and 24: a bulkhead whose callers give up, at any moment and by the thousands.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use buttress::Error;
use buttress::bulkhead::{BulkheadLayer, Handle, Queue, QueueOrder};
use buttress::sim::{Clients, Failure, Latency, Plan, Request, Response, Server, World, ensure};
use tower::{ServiceBuilder, ServiceExt, service_fn};

use crate::stacks::{Stacked, check, ms};
use crate::tools::{Dice, OnDrop, locked, send};

const ORDERS: [QueueOrder; 3] = [QueueOrder::Fifo, QueueOrder::Lifo, QueueOrder::Adaptive];
const LIMIT: usize = 6;

/// What each seed of each order must come to, for a million in all.
const CANCELS: u64 = 1_000_000_u64.div_ceil(64 * ORDERS.len() as u64);

fn bulkhead(world: &mut World<'_>, limit: usize, order: QueueOrder) -> BulkheadLayer<Queue> {
    let layer = BulkheadLayer::builder(limit)
        .name("bulkhead")
        .queue(24)
        .max_wait(ms(12))
        .order(order)
        .observe(world.observer())
        .build();
    let handle = layer.handle();
    world.always("never above the limit", move || match handle.in_flight() {
        held if held <= limit => Ok(()),
        held => Err(format!("{held} of {limit} slots are taken")),
    });
    let handle = layer.handle();
    world.always("nobody waits for a slot that is free", move || {
        match (handle.in_flight(), handle.queued()) {
            (held, waiting) if held == limit || waiting == 0 => Ok(()),
            (held, waiting) => Err(format!("{waiting} wait, {held} of {limit} slots are taken")),
        }
    });
    let (in_flight, queued) = (layer.handle(), layer.handle());
    world.idle("bulkhead: in flight", move || in_flight.in_flight());
    world.idle("bulkhead: queued", move || queued.queued());
    layer
}

/// The server, and how many calls it has: never more than hold a slot.
fn counted(world: &mut World<'_>, handle: Handle) -> (impl Stacked, Arc<AtomicUsize>) {
    let (db, running) = (world.server("db"), Arc::new(AtomicUsize::new(0)));
    let now = Arc::clone(&running);
    world.always("what runs holds a slot", move || {
        let (running, held) = (now.load(Ordering::Relaxed), handle.in_flight());
        if running <= held { Ok(()) } else { Err(format!("{running} run, {held} hold a slot")) }
    });
    let count = Arc::clone(&running);
    let service = service_fn(move |request: Request| {
        let (count, call) = (Arc::clone(&count), send(&db, request));
        count.fetch_add(1, Ordering::Relaxed);
        let ended = OnDrop(move || _ = count.fetch_sub(1, Ordering::Relaxed));
        async move {
            let _ended = ended;
            call.await.map_err(Error::Service)
        }
    });
    (service, running)
}

/// The clients' end: each gives up after a time of its own, some before they have begun.
fn impatient(world: &mut World<'_>, stack: impl Stacked) -> impl Stacked {
    let (dice, cancelled) = (Dice::of(world, "patience"), world.sometimes("cancelled"));
    service_fn(move |request: Request| {
        let (call, patience) = (stack.clone().oneshot(request), dice.millis(0..14));
        let cancelled = cancelled.clone();
        async move {
            if patience.is_zero() {
                // Dropped before its first poll.
                drop(call);
                cancelled.happened();
                return Err(given_up());
            }
            // Who gives up does so even if its turn has come in the same moment.
            tokio::select! {
                biased;
                () = tokio::time::sleep(patience) => {
                    cancelled.happened();
                    Err(given_up())
                }
                outcome = call => outcome,
            }
        }
    })
}

fn given_up() -> Error<Failure> {
    Error::Service(Failure::Failed)
}

fn cancels(order: QueueOrder) {
    let server = Server::workers(100, Latency::uniform(ms(1), ms(12)));
    let clients = Clients::bursts(6000.0, ms(150), ms(50));
    let plan = Plan::new(ms(2000)).server("db", server).clients("shop", clients);
    let wire = move |world: &mut World<'_>| {
        let layer = bulkhead(world, LIMIT, order);
        let (service, _) = counted(world, layer.handle());
        let stack = ServiceBuilder::new()
            .layer(world.interleave("above"))
            .layer(layer)
            .layer(world.interleave("below"))
            .service(service);
        let stack = impatient(world, stack);
        world.clients("shop", stack);
    };
    check(plan).holds(wire, |report| {
        let cancelled = report.sometimes["cancelled"];
        ensure(cancelled >= CANCELS, || format!("{cancelled} cancels, not {CANCELS}"))
    });
}

#[test]
fn s23_a_million_cancels_fifo() {
    cancels(QueueOrder::Fifo);
}

#[test]
fn s23_a_million_cancels_lifo() {
    cancels(QueueOrder::Lifo);
}

#[test]
fn s23_a_million_cancels_adaptive() {
    cancels(QueueOrder::Adaptive);
}

/// Calls that wait, each of which can be made to go away.
#[derive(Clone, Debug, Default)]
struct Waiting(Arc<Mutex<Vec<Arc<Leave>>>>);

#[derive(Debug, Default)]
struct Leave {
    now: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Waiting {
    /// A slot becomes free: some of those who wait go away in the same moment, before or after
    /// they hear that it is theirs.
    fn disturb(&self, dice: &Dice) {
        for call in &*locked(&self.0) {
            if dice.chance(40) {
                call.now.store(true, Ordering::Relaxed);
                if let Some(waker) = locked(&call.waker).take() {
                    waker.wake();
                }
            }
        }
    }

    /// The outcome of `call`, unless it is made to go away.
    async fn run(
        self,
        call: impl Future<Output = Result<Response, Error<Failure>>>,
        gone: impl Fn(),
    ) -> Result<Response, Error<Failure>> {
        let leave = Arc::new(Leave::default());
        locked(&self.0).push(Arc::clone(&leave));
        let listed = Arc::clone(&leave);
        let _listed = OnDrop(move || locked(&self.0).retain(|call| !Arc::ptr_eq(call, &listed)));
        let mut call = std::pin::pin!(Some(call));
        std::future::poll_fn(|cx| {
            if leave.now.load(Ordering::Relaxed) {
                call.set(None);
                gone();
                return std::task::Poll::Ready(Err(given_up()));
            }
            *locked(&leave.waker) = Some(cx.waker().clone());
            call.as_mut().as_pin_mut().expect("there until it is ready").poll(cx)
        })
        .await
    }
}

fn with_waiters_that_go_as_they_are_granted(world: &mut World<'_>) {
    let dice = Dice::of(world, "who goes");
    let (limit, order) = (dice.size(1..4), dice.one_of(&ORDERS));
    let layer = bulkhead(world, limit, order);
    let handle = layer.handle();
    let (service, running) = counted(world, handle.clone());
    let waiting = Waiting::default();
    let disturb = (waiting.clone(), dice.clone());
    let releasing = service_fn(move |request: Request| {
        let (call, (waiting, dice)) = (service.clone().oneshot(request), disturb.clone());
        async move {
            let outcome = call.await;
            // The bulkhead hears of the end next.
            waiting.disturb(&dice);
            outcome
        }
    });
    let stack =
        ServiceBuilder::new().layer(layer).layer(world.interleave("below")).service(releasing);
    let granted = world.sometimes("went away while a grant was out");
    let interleaved = world.interleave("above");
    let clients = service_fn(move |request: Request| {
        let call = stack.clone().oneshot(request);
        let (handle, running) = (handle.clone(), Arc::clone(&running));
        let granted = granted.clone();
        waiting.clone().run(call, move || {
            // Slots that are taken and not in use belong to grants nobody has heard of yet.
            if handle.in_flight() > running.load(Ordering::Relaxed) {
                granted.happened();
            }
        })
    });
    world.clients("shop", ServiceBuilder::new().layer(interleaved).service(clients));
}

#[test]
fn s24_a_waiter_that_goes_as_it_is_granted_loses_no_slot() {
    let plan = Plan::new(ms(1500))
        .server("db", Server::workers(100, Latency::uniform(ms(1), ms(6))))
        .clients("shop", Clients::open(1500.0));
    check(plan).holds(with_waiters_that_go_as_they_are_granted, |report| {
        let good = report.good();
        ensure(good > 200, || format!("{good} answers"))
    });
}
