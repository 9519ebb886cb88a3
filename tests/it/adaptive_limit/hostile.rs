//! Observers, classifiers and algorithms that panic, wakers that come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use buttress::Class;
use buttress::adaptive_limit::{AdaptiveLimitLayer, Handle};
use buttress::classify::classify_fn;
use buttress::observe::{Event, EventKind};
use tower::Layer;

use super::puppet::Puppet;
use crate::support::{Ask, Fault, Ledger, Mock, call, panics, poll_once};

#[tokio::test(start_paused = true)]
async fn a_classifier_that_panics_leaves_an_abandoned_call() {
    let (ledger, puppet) = (Ledger::default(), Puppet::at(1.0));
    let layer = AdaptiveLimitLayer::builder()
        .algorithm(puppet.clone())
        .classify(classify_fn(|_: Result<&u32, &Fault>| -> Class { panic!("in the classifier") }))
        .observe(ledger.clone())
        .build();
    let mut service = layer.layer(Mock::new());
    for _ in 0..3 {
        let mut judged = call(&mut service, Ask::Answer(1));
        panics(move || drop(poll_once(&mut judged)));
        assert_eq!(layer.handle().in_flight(), 0);
        assert_eq!(puppet.outcomes(), [buttress::adaptive_limit::Outcome::Unknown]);
    }
    ledger.assert_settled();
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_costs_no_slot_and_no_later_event() {
    type Wanted = fn(&EventKind) -> bool;
    let cases: [Wanted; 4] = [
        |kind| matches!(kind, EventKind::Admitted { .. }),
        |kind| matches!(kind, EventKind::Settled { .. }),
        |kind| matches!(kind, EventKind::LimitChanged { .. }),
        |kind| matches!(kind, EventKind::Rejected(_)),
    ];
    for wanted in cases {
        let (ledger, puppet) = (Ledger::default(), Puppet::at(1.0));
        let panicked = AtomicBool::new(false);
        let layer = AdaptiveLimitLayer::builder()
            .algorithm(puppet.clone())
            // Before the one that panics, which those after it do not get to see.
            .observe(ledger.clone())
            .observe(move |event: &Event<'_>| {
                let panics = wanted(&event.kind) && !panicked.swap(true, Ordering::SeqCst);
                assert!(!panics, "as the test wants: at {:?}", event.kind);
            })
            .build();
        let mut service = layer.layer(Mock::new());
        panics(|| {
            let held = call(&mut service, Ask::Answer(1));
            drop(call(&mut service, Ask::Answer(1)));
            puppet.set_limit(2.0);
            let mut held = held;
            drop(poll_once(&mut held));
        });
        assert_eq!(layer.handle().in_flight(), 0);
        ledger.take("adaptive_limit");
        for limit in [7, 4] {
            puppet.set_limit(f64::from(limit));
            assert_eq!(call(&mut service, Ask::Answer(1)).await, Ok(1));
            let told = ledger.take("adaptive_limit");
            let changed = |kind: &EventKind| matches!(kind, EventKind::LimitChanged { .. });
            assert_eq!(told.iter().filter(|kind| changed(kind)).count(), 1, "{told:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_algorithm_that_panics_costs_no_slot() {
    let puppet = Puppet::at(1.0);
    let layer = AdaptiveLimitLayer::builder().algorithm(puppet.clone()).build();
    let mut service = layer.layer(Mock::new());
    let mut running = call(&mut service, Ask::Answer(1));
    puppet.set_panics(true);
    panics(|| drop(poll_once(&mut running)));
    assert_eq!(layer.handle().in_flight(), 0, "at an end");
    panics(|| drop(call(&mut service, Ask::Answer(1))));
    assert_eq!(layer.handle().in_flight(), 0, "at a beginning");
    puppet.set_panics(false);
    assert_eq!(call(&mut service, Ask::Answer(1)).await, Ok(1));
}

/// A task that looks at the limit when it is woken.
struct Curious(Handle, AtomicBool);

impl Wake for Curious {
    fn wake(self: Arc<Self>) {
        let _ = self.0.snapshot();
        self.1.store(true, Ordering::SeqCst);
    }
}

#[test]
fn whoever_is_woken_by_a_growing_limit_finds_no_lock_held() {
    let (done, end) = channel();
    // On a thread of its own, since the failure is one that never ends.
    std::thread::spawn(move || {
        let puppet = Puppet::at(1.0);
        let layer = AdaptiveLimitLayer::builder().algorithm(puppet.clone()).queue(4).build();
        let mut service = layer.layer(Mock::new());
        let held = call(&mut service, Ask::Hold);
        let tasks = [0, 1].map(|_| Arc::new(Curious(layer.handle(), AtomicBool::new(false))));
        let mut waiting = [0, 1].map(|_| call(&mut service, Ask::Hold));
        for (future, task) in waiting.iter_mut().zip(&tasks) {
            let waker = Waker::from(task.clone());
            assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        puppet.set_limit(9.0);
        drop(held);
        assert!(tasks.iter().all(|task| task.1.load(Ordering::SeqCst)));
        done.send(()).unwrap();
    });
    end.recv_timeout(Duration::from_secs(60)).expect("a lock is held");
}
