//! The user's closures run under no lock, and may panic.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Barrier, Mutex, OnceLock, mpsc};

use super::*;
use crate::support::panics;

#[test]
fn a_slow_closure_holds_up_nobody_else() {
    let (begun, has_begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    let layer = builder(move |key: &str| {
        if key == "slow" {
            begun.send(()).unwrap();
            may_go_on.lock().unwrap().recv().unwrap();
        }
        breaker(key)
    });
    let layer = layer.capacity(3).idle(SECOND).build();
    let (handle, mut service) = (layer.handle(), layer.layer(mocked().0));
    let mut other = service.clone();
    let slow =
        std::thread::spawn(move || poll_once(&mut call(&mut other, ("slow", Ask::Answer(1)))));
    has_begun.recv().unwrap();
    for key in ["a", "b", "c", "d", "e", "a"] {
        assert!(poll_once(&mut call(&mut service, (key, Ask::Answer(1)))).is_ready());
    }
    assert_eq!(handle.len(), 3);
    go_on.send(()).unwrap();
    assert!(slow.join().unwrap().is_ready());
    assert!(handle.contains("slow") && handle.len() == 3);
}

#[test]
fn of_two_closures_at_a_time_for_one_key_one_layer_is_kept() {
    let made = Arc::new(AtomicU32::new(0));
    let both = Barrier::new(2);
    let count = made.clone();
    let layer = builder(move |_: &str| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        both.wait();
        BulkheadLayer::new(10 + number as usize)
    })
    .build();
    let services = [layer.layer(mocked().0), layer.layer(mocked().0)];
    let threads = services.map(|mut service| {
        std::thread::spawn(move || {
            let mut held = call(&mut service, ("a", Ask::Hold));
            assert!(poll_once(&mut held).is_pending());
            held
        })
    });
    let held = threads.map(|thread| thread.join().unwrap());
    assert_eq!(made.load(Ordering::SeqCst), 2);
    let handle = layer.handle();
    assert_eq!(handle.len(), 1);
    assert_eq!(
        handle.get("a").unwrap().handle().in_flight(),
        2,
        "both are in the one that is kept"
    );
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_closure_that_panics_leaves_nothing_behind() {
    let fails = Arc::new(AtomicBool::new(true));
    let failing = fails.clone();
    let layer = builder(move |key: &str| {
        assert!(!failing.load(Ordering::Relaxed), "as the test wants: in the closure");
        breaker(key)
    });
    let layer = layer.capacity(1).overflow(Overflow::Refuse).build();
    let mut service = layer.layer(mocked().0);
    panics(|| call(&mut service, ("a", Ask::Answer(1))));
    assert!(layer.handle().is_empty());
    fails.store(false, Ordering::Relaxed);
    assert_eq!(ask(&mut service, "b", Ask::Answer(1)).await, Ok(1));
    assert_eq!(ask(&mut service, "a", Ask::Answer(1)).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_cannot_be_found_panics_in_the_call_and_harms_no_other() {
    let find = |request: &Keyed| {
        assert!(request.0 != "wrong", "as the test wants: in the closure");
        request.0.to_owned()
    };
    let layer = KeyedLayer::new(find, |key: &String| breaker(key));
    let mut service = layer.layer(mocked().0);
    panics(|| call(&mut service, ("wrong", Ask::Answer(1))));
    assert_eq!(ask(&mut service, "a", Ask::Answer(1)).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn closures_may_use_the_handle() {
    let slot: Arc<OnceLock<Handle<String, CircuitBreakerLayer>>> = Arc::default();
    let (in_make, in_keep) = (slot.clone(), slot.clone());
    let layer = builder(move |key: &str| {
        assert!(!in_make.get().unwrap().contains(key));
        breaker(key)
    });
    let layer = layer.capacity(1).keep_while(move |_| in_keep.get().unwrap().len() > 1).build();
    slot.set(layer.handle()).unwrap();
    let mut service = layer.layer(mocked().0);
    for key in ["a", "b", "c"] {
        assert_eq!(ask(&mut service, key, Ask::Answer(1)).await, Ok(1));
    }
    assert_eq!(slot.get().unwrap().keys(), ["c"]);
}

#[tokio::test(start_paused = true)]
async fn a_key_whose_circuit_opens_while_it_is_being_forgotten_is_kept() {
    let slot: Arc<OnceLock<Box<dyn Fn() + Send + Sync>>> = Arc::default();
    let asked = slot.clone();
    let never = move |_: &CircuitBreakerLayer| {
        asked.get().unwrap()();
        false
    };
    let layer = builder(breaker).capacity(1).keep_while(never).build();
    let (handle, mut service) = (layer.handle(), layer.layer(mocked().0));
    ask(&mut service, "a", Ask::Answer(1)).await.unwrap();
    let failing = Mutex::new(service.clone());
    let fail = move || {
        let mut service = failing.lock().unwrap();
        assert!(poll_once(&mut call(&mut *service, ("a", Ask::Fail(1)))).is_ready());
    };
    assert!(slot.set(Box::new(fail)).is_ok());
    assert_eq!(ask(&mut service, "b", Ask::Answer(2)).await, Ok(2), "by what all others share");
    assert_eq!((handle.keys(), phase(&handle, "a")), (vec!["a".into()], Some(Phase::Open)));
}

#[tokio::test(start_paused = true)]
async fn a_closure_is_called_once_for_each_key() {
    let made = Arc::new(AtomicU32::new(0));
    let count = made.clone();
    let layer = builder(move |key: &str| {
        count.fetch_add(1, Ordering::Relaxed);
        breaker(key)
    })
    .build();
    let mut services = [layer.layer(mocked().0), layer.layer(mocked().0)];
    for _ in 0..5 {
        for service in &mut services {
            for key in ["a", "b"] {
                ask(service, key, Ask::Answer(1)).await.unwrap();
            }
        }
    }
    assert_eq!(made.load(Ordering::Relaxed), 2);
}
