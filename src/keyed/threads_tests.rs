//! What threads must not be able to do to each other's keys: the least that a table which evicts
//! has to keep, tried on a real machine.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tower_layer::Layer;

use crate::keyed::{KeyedLayer, Overflow};

/// The layer of a key, and the service that it makes.
#[derive(Clone, Debug)]
struct Probe {
    id: usize,
    pinned: Arc<AtomicBool>,
}

impl Layer<()> for Probe {
    type Service = Self;

    fn layer(&self, (): ()) -> Self {
        self.clone()
    }
}

/// What is known of a key: who serves it as long as calls are in flight, or while it is pinned.
#[derive(Default)]
struct Known {
    in_flight: usize,
    id: usize,
    pinned: bool,
}

const KEYS: usize = 12;
const ROUNDS: usize = 30_000;

#[test]
fn calls_in_flight_and_pinned_keys_never_change_their_instance() {
    let made = AtomicUsize::new(0);
    let layer = KeyedLayer::builder(
        |key: &usize| *key,
        move |_: &usize| Probe { id: made.fetch_add(1, Ordering::Relaxed), pinned: Arc::default() },
    )
    .capacity(4)
    .overflow(Overflow::Refuse)
    .keep_while(|probe| probe.pinned.load(Ordering::Acquire))
    .build();
    let handle = layer.handle();
    let known: Mutex<HashMap<usize, Known>> = Mutex::default();
    let refused = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            // Two services of one layer, two threads each.
            let service = if thread % 2 == 0 { layer.layer(()) } else { layer.clone().layer(()) };
            let (known, refused) = (&known, &refused);
            scope.spawn(move || {
                let mut state = 0x9e37_79b9_u64 + thread;
                for _ in 0..ROUNDS {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let key = usize::try_from(state >> 33).unwrap() % KEYS;
                    let Ok((probe, in_flight)) = service.instance(&key) else {
                        refused.fetch_add(1, Ordering::Relaxed);
                        continue;
                    };
                    begin(known, key, &probe);
                    end(known, key, &probe, state);
                    drop(in_flight);
                }
            });
        }
    });
    assert!(handle.len() <= 4);
    let refused = refused.into_inner();
    assert!(refused < 4 * ROUNDS, "{refused} refused: nobody was served");
}

fn begin(known: &Mutex<HashMap<usize, Known>>, key: usize, probe: &Probe) {
    let mut known = known.lock().unwrap();
    let known = known.entry(key).or_default();
    if known.in_flight > 0 || known.pinned {
        assert_eq!(known.id, probe.id, "in flight {}, pinned {}", known.in_flight, known.pinned);
    }
    known.id = probe.id;
    known.in_flight += 1;
}

/// Two keys get pinned at times, by a call in flight, as a breaker is by an outcome.
fn end(known: &Mutex<HashMap<usize, Known>>, key: usize, probe: &Probe, state: u64) {
    let mut known = known.lock().unwrap();
    let known = known.entry(key).or_default();
    known.pinned = key < 2 && state >> 20 & 1 == 0;
    probe.pinned.store(known.pinned, Ordering::Release);
    known.in_flight -= 1;
}
