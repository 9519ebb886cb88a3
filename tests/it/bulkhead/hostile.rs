//! Observers that panic, wakers that come back, closures that free slots while they are asked.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use buttress::Rejected;
use buttress::bulkhead::{BulkheadLayer, Handle};
use buttress::observe::{Event, EventKind};
use buttress::timeout::Deadline;
use tower::{Layer, service_fn};

use crate::support::{Ask, Hand, Mock, call, panics, poll_once};

/// Panics at the n-th event from now that `wanted` is true for.
fn panicking(wanted: fn(&EventKind) -> bool) -> impl Fn(&Event<'_>) {
    let seen = AtomicUsize::new(0);
    move |event: &Event<'_>| {
        let panics = wanted(&event.kind) && seen.fetch_add(1, Ordering::SeqCst) == 0;
        assert!(!panics, "as the test wants: at {:?}", event.kind);
    }
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_costs_no_slot() {
    let queued = |kind: &EventKind| *kind == EventKind::Queued;
    let layer = BulkheadLayer::builder(1).queue(4).observe(panicking(queued)).build();
    let mut service = layer.layer(Mock::new());
    let held = call(&mut service, Ask::Hold);
    panics(|| drop(call(&mut service, Ask::Answer(1))));
    assert_eq!(layer.handle().queued(), 0, "the one that panicked is not in line");
    drop(held);
    assert_eq!(layer.handle().in_flight(), 0);

    let admitted = |kind: &EventKind| matches!(kind, EventKind::Admitted { .. });
    let layer = BulkheadLayer::builder(1).observe(panicking(admitted)).build();
    panics(|| drop(call(&mut layer.layer(Mock::new()), Ask::Answer(1))));
    assert_eq!(layer.handle().in_flight(), 0);

    let would = |kind: &EventKind| matches!(kind, EventKind::WouldReject(_));
    let layer = BulkheadLayer::builder(0).shadow().observe(panicking(would)).build();
    panics(|| drop(call(&mut layer.layer(Mock::new()), Ask::Answer(1))));
    assert_eq!(layer.handle().in_flight(), 0);
}

/// A task whose end asks the bulkhead how it is.
struct Curious(Handle);

impl Wake for Curious {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Curious {
    fn drop(&mut self) {
        let _ = self.0.queued();
    }
}

#[test]
fn a_waker_that_comes_back_when_it_is_dropped_finds_no_lock_held() {
    let (done, end) = channel();
    // On a thread of its own, since the failure is one that never ends.
    std::thread::spawn(move || {
        let layer = BulkheadLayer::builder(1).queue(4).build();
        let mut service = layer.layer(Mock::new());
        let curious = || Waker::from(Arc::new(Curious(layer.handle())));
        let held = call(&mut service, Ask::Hold);
        let mut waiting = [call(&mut service, Ask::Hold), call(&mut service, Ask::Hold)];
        for future in &mut waiting {
            // Replaced by the next, then by nothing.
            for _ in 0..2 {
                assert!(future.as_mut().poll(&mut Context::from_waker(&curious())).is_pending());
            }
        }
        let [first, second] = waiting;
        drop(second);
        drop(held);
        drop(first);
        done.send((layer.handle().in_flight(), layer.handle().queued())).unwrap();
    });
    assert_eq!(end.recv_timeout(Duration::from_secs(20)), Ok((0, 0)));
}

#[test]
fn a_partition_below_its_promise_is_let_in_whatever_happens_while_it_asks() {
    type Held = std::rc::Rc<RefCell<Option<Box<dyn std::any::Any>>>>;
    let held = Held::default();
    let slot = held.clone();
    let layer = BulkheadLayer::builder(2)
        .partition(|kind: &&'static str| *kind, [("a", 0.5), ("b", 0.5)])
        .queue(8)
        .deadline(move |_: &&'static str| -> Option<Deadline> {
            drop(slot.borrow_mut().take());
            None
        })
        .build();
    let mut service =
        layer.layer(service_fn(|_: &'static str| std::future::pending::<Result<(), Rejected>>()));
    let _full = [call(&mut service, "a"), call(&mut service, "a")];
    let b = call(&mut service, "b");
    let hand = Hand::new();
    let mut waiting = call(&mut service, "a");
    assert!(hand.poll(&mut waiting).is_pending());
    assert_eq!((layer.handle().in_flight(), layer.handle().queued()), (3, 1));
    // The slot of b comes free between the first look at the count and the place in line.
    *held.borrow_mut() = Some(Box::new(b));
    let mut next = call(&mut service, "b");
    assert!(poll_once(&mut next).is_pending());
    assert_eq!((layer.handle().in_flight(), layer.handle().queued()), (3, 1), "b got in");
}
