//! The interleavings of calls and of who makes room: every one by loom, many by shuttle. What is
//! counted by `Arc` is not loom's: its steps are tried where they meet a lock or an atomic of ours.

use std::sync::Arc;

use tower_layer::Layer;

use crate::keyed::{KeyedLayer, Overflow};
use crate::sync::schedules::{explore, thread};
use crate::sync::{AtomicBool, Ordering};

/// The layer of a key, and the service that it makes.
#[derive(Clone)]
struct Probe(Arc<AtomicBool>);

impl Layer<()> for Probe {
    type Service = Self;

    fn layer(&self, (): ()) -> Self {
        self.clone()
    }
}

#[test]
fn loom_keyed_what_a_call_leaves_pinned_is_not_forgotten() {
    explore(3, || {
        let make = |_: &u8| Probe(Arc::new(AtomicBool::new(false)));
        let layer = KeyedLayer::builder(|key: &u8| *key, make)
            .capacity(1)
            .overflow(Overflow::Refuse)
            .keep_while(|probe| probe.0.load(Ordering::Acquire))
            .build();
        let (handle, service) = (layer.handle(), layer.layer(()));
        drop(service.instance(&1));
        let other = {
            let service = service.clone();
            thread::spawn(move || drop(service.instance(&2)))
        };
        let pinned = service.instance(&1).ok().map(|(probe, in_flight)| {
            probe.0.store(true, Ordering::Release);
            drop(in_flight);
            probe
        });
        other.join().unwrap();
        if let Some(pinned) = pinned {
            let found = handle.get(&1).expect("it is pinned");
            assert!(Arc::ptr_eq(&found.0, &pinned.0));
        }
    });
}

#[test]
fn loom_keyed_all_calls_of_a_key_have_one_instance() {
    explore(3, || {
        let make = |_: &u8| Probe(Arc::new(AtomicBool::new(false)));
        let layer = KeyedLayer::builder(|key: &u8| *key, make).capacity(2).build();
        let service = layer.layer(());
        let other = {
            let service = layer.layer(());
            thread::spawn(move || service.instance(&1).expect("there is room"))
        };
        let (mine, _in_flight) = service.instance(&1).expect("there is room");
        let (other, _other_in_flight) = other.join().unwrap();
        assert!(Arc::ptr_eq(&mine.0, &other.0));
        assert_eq!(layer.handle().len(), 1);
    });
}
