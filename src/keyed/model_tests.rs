//! The registry against a naive model, over random sequences of calls. Few keys, fewer places, and
//! hashes that collide.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::keyed::Overflow;
use crate::keyed::entry::Entry;
use crate::keyed::registry::{InFlight, Registry, Settings};
use crate::keyed::site::{Instance, Site};
use crate::keyed::state::{Answer, Table};
use crate::observe::Identity;
use crate::pinned::{self, Pinned};

const MS: Duration = Duration::from_millis(1);

#[derive(Clone, Copy, Debug)]
enum Op {
    Begin(u8),
    /// Ends the n-th call in flight.
    End(usize),
    Advance(u16),
    /// Changes whether the key must be kept.
    Pin(u8, bool),
    Remove(u8),
    Get(u8),
    Sweep,
}

/// The layer of a key. Each second one says by itself that it must be kept, and of the others the
/// user does.
#[derive(Debug)]
struct Probe {
    id: usize,
    pinned: AtomicBool,
}

impl Probe {
    fn new(id: usize) -> Arc<Self> {
        let probe = Arc::new(Self { id, pinned: AtomicBool::new(false) });
        if probe.speaks() {
            pinned::announce(&probe);
        }
        probe
    }

    fn speaks(&self) -> bool {
        self.id.is_multiple_of(2)
    }
}

impl Pinned for Probe {
    fn is_pinned(&self) -> bool {
        self.pinned.load(Ordering::SeqCst)
    }
}

/// A key that the model knows.
#[derive(Debug)]
struct Known {
    key: u8,
    id: usize,
    in_flight: usize,
    pinned: bool,
    idle_since: u64,
}

#[derive(Debug)]
struct Model {
    known: Vec<Known>,
    capacity: usize,
    idle: Option<u64>,
    now: u64,
}

impl Model {
    fn of(&mut self, key: u8) -> Option<&mut Known> {
        self.known.iter_mut().find(|known| known.key == key)
    }

    fn may_go(known: &Known) -> bool {
        known.in_flight == 0 && !known.pinned
    }

    fn is_expired(&self, known: &Known) -> bool {
        let limit = self.idle.unwrap_or(u64::MAX);
        Self::may_go(known) && self.now - known.idle_since >= limit
    }

    fn expire(&mut self, key: Option<u8>) {
        let expired = |known: &Known| self.is_expired(known) && key.is_none_or(|k| k == known.key);
        let gone: Vec<u8> = self.known.iter().filter(|k| expired(k)).map(|k| k.key).collect();
        self.known.retain(|known| !gone.contains(&known.key));
    }
}

/// A call in flight, with its key and whose it is, unless it is the spare one's.
type Running = (Option<(u8, usize)>, InFlight<u8, Arc<Probe>>);

struct Run {
    registry: Registry<u8, Arc<Probe>>,
    overflow: Overflow,
    model: Model,
    calls: Vec<Running>,
    made: AtomicUsize,
    gone: AtomicUsize,
    spare: Option<usize>,
}

fn hash(key: u8) -> u64 {
    u64::from(key % 3)
}

impl Run {
    fn new(capacity: usize, idle: Option<u64>, overflow: Overflow) -> Self {
        let registry = Registry::new(Settings {
            capacity,
            idle: idle.map(Duration::from_millis),
            keep: Some(Box::new(|probe: &Arc<Probe>| !probe.speaks() && probe.is_pinned())),
            overflow,
            shadow: false,
            emitter: Identity::default().emitter("keyed", None),
        });
        let model = Model { known: Vec::new(), capacity, idle, now: 0 };
        let (made, gone) = Default::default();
        Self { registry, overflow, model, calls: Vec::new(), made, gone, spare: None }
    }

    async fn apply(&mut self, op: Op) {
        match op {
            Op::Begin(key) => self.begin(key),
            Op::End(n) if !self.calls.is_empty() => {
                let (whose, in_flight) = self.calls.swap_remove(n % self.calls.len());
                drop(in_flight);
                let now = self.model.now;
                // Unless it was removed meanwhile.
                if let Some((key, id)) = whose
                    && let Some(known) = self.model.of(key)
                    && known.id == id
                {
                    known.in_flight -= 1;
                    known.idle_since = now;
                }
            }
            Op::End(_) => {}
            Op::Advance(by) => {
                tokio::time::advance(u32::from(by) * MS).await;
                self.model.now += u64::from(by);
            }
            Op::Pin(key, pinned) => {
                if let Some(known) = self.model.of(key) {
                    known.pinned = pinned;
                    let entry = self.registry.peek(hash(key), &key).unwrap();
                    entry.layer().pinned.store(pinned, Ordering::SeqCst);
                }
            }
            Op::Remove(key) => {
                let there = self.model.of(key).is_some();
                assert_eq!(self.registry.remove(hash(key), &key), there);
                self.model.known.retain(|known| known.key != key);
            }
            Op::Get(key) => {
                self.model.expire(Some(key));
                let id = self.registry.get(hash(key), &key).map(|entry| entry.layer().id);
                assert_eq!(id, self.model.of(key).map(|known| known.id));
            }
            Op::Sweep => {
                let before = self.model.known.len();
                self.model.expire(None);
                assert_eq!(self.registry.purge(), before - self.model.known.len());
            }
        }
        self.compare();
    }

    fn begin(&mut self, key: u8) {
        self.model.expire(Some(key));
        let expected = self.model.of(key).map(|known| known.id);
        let full = self.model.known.len() >= self.model.capacity;
        let may_go = self.model.known.iter().any(Model::may_go);
        let before = self.made.load(Ordering::SeqCst);
        let make = |_: &u8| Probe::new(self.made.fetch_add(1, Ordering::SeqCst));
        let gone = |_| {
            self.gone.fetch_add(1, Ordering::SeqCst);
        };
        let placed = self.registry.place(hash(key), &key, make, gone);
        if expected.is_none() && full && !may_go && self.overflow == Overflow::Refuse {
            assert_eq!(self.made.load(Ordering::SeqCst), before, "nothing is made for a refusal");
            assert!(placed.is_err());
            return;
        }
        let placed = placed.expect("nobody is refused here");
        let id = placed.entry.layer().id;
        assert_eq!(placed.is_spare, expected.is_none() && full && !may_go);
        self.calls
            .push(((!placed.is_spare).then_some((key, id)), self.registry.begin(placed.entry)));
        if placed.is_spare {
            assert_eq!(*self.spare.get_or_insert(id), id, "all share one");
            return;
        }
        if let Some(expected) = expected {
            assert_eq!(id, expected);
        } else {
            assert_eq!(id, before, "a new one");
            if full {
                self.one_has_gone();
            }
            let idle_since = self.model.now;
            self.model.known.push(Known { key, id, in_flight: 0, pinned: false, idle_since });
        }
        self.model.of(key).unwrap().in_flight += 1;
    }

    /// Exactly one, and it was free to go.
    fn one_has_gone(&mut self) {
        let there = |known: &Known| self.registry.peek(hash(known.key), &known.key).is_some();
        let gone: Vec<usize> =
            (0..self.model.known.len()).filter(|place| !there(&self.model.known[*place])).collect();
        assert_eq!(gone.len(), 1);
        let gone = self.model.known.remove(gone[0]);
        assert!(Model::may_go(&gone), "{gone:?}");
    }

    fn compare(&self) {
        assert_eq!(self.registry.len(), self.model.known.len());
        for known in &self.model.known {
            let entry = self.registry.peek(hash(known.key), &known.key).expect("it is kept");
            assert_eq!(entry.layer().id, known.id);
        }
        let mut keys = Vec::new();
        self.registry.each(|entry| keys.push(*entry.key()));
        keys.sort_unstable();
        let mut known: Vec<u8> = self.model.known.iter().map(|known| known.key).collect();
        known.sort_unstable();
        assert_eq!(keys, known);
        let pinned = self.model.known.iter().any(|known| !Model::may_go(known));
        assert_eq!(self.registry.is_pinned(), pinned);
    }
}

fn op() -> impl Strategy<Value = Op> {
    let key = 0..8_u8;
    prop_oneof![
        6 => key.clone().prop_map(Op::Begin),
        5 => (0..8_usize).prop_map(Op::End),
        2 => (0..60_u16).prop_map(Op::Advance),
        2 => (key.clone(), any::<bool>()).prop_map(|(key, pinned)| Op::Pin(key, pinned)),
        1 => key.clone().prop_map(Op::Remove),
        1 => key.prop_map(Op::Get),
        1 => Just(Op::Sweep),
    ]
}

proptest! {
    #[test]
    fn the_registry_does_what_the_model_does(
        ops in vec(op(), 1..80),
        capacity in 1..6_usize,
        idle in proptest::option::of(1..100_u64),
        refuses in any::<bool>(),
    ) {
        let overflow = if refuses { Overflow::Refuse } else { Overflow::Share };
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut run = Run::new(capacity, idle, overflow);
            for op in ops {
                run.apply(op).await;
            }
        });
    }
}

fn small(capacity: usize) -> Run {
    Run::new(capacity, None, Overflow::Refuse)
}

impl Run {
    /// A call that is over at once.
    fn touch(&mut self, key: u8) {
        let make = |_: &u8| Probe::new(0);
        let placed = self.registry.place(hash(key), &key, make, |_| ()).ok().unwrap();
        drop(self.registry.begin(placed.entry));
    }

    fn keys(&self) -> Vec<u8> {
        let mut keys = Vec::new();
        self.registry.each(|entry| keys.push(*entry.key()));
        keys.sort_unstable();
        keys
    }
}

#[test]
fn who_was_used_since_the_last_look_gets_a_second_chance() {
    let mut run = small(3);
    for key in 0..3 {
        run.touch(key);
    }
    run.touch(3);
    assert_eq!(run.keys(), [1, 2, 3], "all were used: the first goes");
    run.touch(1);
    run.touch(4);
    assert_eq!(run.keys(), [1, 3, 4]);
}

#[test]
fn one_that_may_go_is_found_among_sixty_three_that_may_not() {
    let mut run = small(64);
    (0..64).for_each(|key| run.begin(key));
    let (_, in_flight) = run.calls.swap_remove(63);
    drop(in_flight);
    run.touch(100);
    assert_eq!(run.keys().last(), Some(&100));
    assert_eq!(run.registry.len(), 64);
}

fn entry(key: u8) -> Entry<u8, ()> {
    Entry::new(hash(key), key, ((), Vec::new()), 0)
}

#[test]
fn a_key_that_was_used_since_it_was_looked_at_is_not_forgotten() {
    let mut table = Table::new(1);
    assert!(matches!(table.find_or_insert(hash(1), &1, &mut Some(entry(1))), Answer::Found(_)));
    let look = |table: &mut Table<_, _>| table.look_for_room(&mut 1).pop().expect("it is idle");
    let candidate = look(&mut table);
    table.find(hash(1), &1).unwrap().ended(None);
    assert!(table.evict(&candidate).is_none(), "who knows what the call has left behind");
    assert!(candidate.entry.upgrade().is_some(), "nor do services lose what they built for it");
    let candidate = look(&mut table);
    assert!(table.evict(&candidate).is_some());
    assert_eq!(table.len(), 0);
}

#[test]
fn what_two_calls_build_at_a_time_is_one_instance() {
    let (site, entry) = (Site::new(), Arc::new(entry(1)));
    for is_spare in [false, true] {
        let both = ["first", "second"].map(|built| Instance::new(&entry, built));
        let kept = both.map(|built| site.keep(&entry, is_spare, built).service());
        assert_eq!(kept, ["first"; 2]);
        assert_eq!(site.of(&entry, is_spare).unwrap().service(), "first");
    }
}
