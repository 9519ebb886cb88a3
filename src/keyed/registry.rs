//! [`Registry`]: the table behind its lock, and what must not happen under it.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::keyed::Overflow;
use crate::keyed::entry::{Candidate, Entry};
use crate::keyed::state::{Answer, Table};
use crate::observe::{Emitter, EventKind, Stage};
use crate::pinned;
use crate::rejected::{Reason, Rejected};
use crate::sync::{AtomicU64, Mutex, Ordering, lock};
use crate::time::{self, Instant};

/// How many places are looked at to find room for one key, or in one sweep.
pub(super) const A_WINDOW: usize = 64;

/// Which layers must be kept, by the user.
pub(super) type Keep<L> = Box<dyn Fn(&L) -> bool + Send + Sync>;

/// What all services of one layer value share. Every call that finds its key in its own service's
/// [`Site`](super::site::Site) leaves the lock here alone.
pub(super) struct Registry<K, L> {
    table: Mutex<Table<K, L>>,
    /// For the keys that find no place.
    spare: OnceLock<Arc<Entry<K, L>>>,
    // Seeded by the process: whoever chooses keys cannot choose their hashes.
    hasher: RandomState,
    idle: Option<Idle>,
    keep: Option<Keep<L>>,
    overflow: Overflow,
    shadow: bool,
    emitter: Emitter,
}

/// A time that says it all: how long idle is too long.
pub(super) struct Idle {
    limit: u64,
    epoch: Instant,
    next_sweep: AtomicU64,
}

/// The entry for a key.
pub(super) struct Placed<K, L> {
    pub(super) entry: Arc<Entry<K, L>>,
    /// It is the one that keys without a place share.
    pub(super) is_spare: bool,
}

/// A call in flight: while it lasts, its key is not forgotten.
pub(super) struct InFlight<K, L> {
    entry: Arc<Entry<K, L>>,
    /// Of the clock that its end is told by, where anybody asks for it.
    epoch: Option<Instant>,
}

impl<K, L> Drop for InFlight<K, L> {
    #[inline]
    fn drop(&mut self) {
        self.entry.ended(self.epoch.map(since));
    }
}

/// What the registry is made of.
pub(super) struct Settings<L> {
    pub(super) capacity: usize,
    pub(super) idle: Option<Duration>,
    pub(super) keep: Option<Keep<L>>,
    pub(super) overflow: Overflow,
    pub(super) shadow: bool,
    pub(super) emitter: Emitter,
}

impl<K, L> Registry<K, L> {
    pub(super) fn new(settings: Settings<L>) -> Self {
        Self {
            table: Mutex::new(Table::new(settings.capacity)),
            spare: OnceLock::new(),
            hasher: RandomState::new(),
            idle: settings.idle.map(Idle::new),
            keep: settings.keep,
            overflow: settings.overflow,
            shadow: settings.shadow,
            emitter: settings.emitter,
        }
    }

    #[inline]
    pub(super) fn hash<Q: Hash + ?Sized>(&self, query: &Q) -> u64 {
        self.hasher.hash_one(query)
    }

    /// The time, where anybody asks for it.
    #[inline]
    pub(super) fn now(&self) -> Option<u64> {
        self.idle.as_ref().map(Idle::now)
    }

    /// A call that has found its entry, of which it has a reference.
    #[inline]
    pub(super) fn begin(&self, entry: Arc<Entry<K, L>>) -> InFlight<K, L> {
        InFlight { entry, epoch: self.idle.as_ref().map(|idle| idle.epoch) }
    }

    /// Whether an entry, of which the caller has one reference, has been idle too long.
    #[inline]
    pub(super) fn is_expired(&self, entry: &Arc<Entry<K, L>>, now: Option<u64>) -> bool {
        let (Some(idle), Some(now)) = (&self.idle, now) else { return false };
        now.saturating_sub(entry.idle_since()) >= idle.limit && Arc::strong_count(entry) <= 2
    }

    #[inline]
    pub(super) fn sweep_is_due(&self, now: Option<u64>) -> bool {
        let (Some(idle), Some(now)) = (&self.idle, now) else { return false };
        now >= idle.next_sweep.load(Ordering::Relaxed)
    }

    /// The entry for a key: the one that is there, or a new one, if there is room or some can be
    /// made. `make` runs under no lock; where it runs twice at a time for one key, what comes first
    /// is kept. `gone` is told the hash of each key that had to go.
    pub(super) fn place<Q>(
        &self,
        hash: u64,
        query: &Q,
        make: impl Fn(&Q) -> L,
        gone: impl Fn(u64),
    ) -> Result<Placed<K, L>, Rejected>
    where
        K: Borrow<Q>,
        Q: ToOwned<Owned = K> + Eq + ?Sized,
    {
        let now = self.now();
        let make =
            || Entry::new(hash, query.to_owned(), pinned::listen(|| make(query)), now.unwrap_or(0));
        let (mut prepared, mut is_kept) = (None, false);
        loop {
            let answer = lock(&self.table).find_or_insert(hash, query, &mut prepared);
            match answer {
                Answer::Found(entry) if !is_kept && self.is_expired(&entry, now) => {
                    let candidate = Candidate::new(&entry);
                    drop(entry);
                    is_kept = !self.evict(&candidate, &gone);
                }
                Answer::Found(entry) => return Ok(Placed { entry, is_spare: false }),
                Answer::Vacant => prepared = Some(make()),
                Answer::Full if self.make_room(&gone) => {}
                Answer::Full => {
                    let entry = self.overflow(|| prepared.unwrap_or_else(make))?;
                    return Ok(Placed { entry, is_spare: true });
                }
            }
        }
    }

    /// The entry for all keys that find no place, or a refusal.
    #[cold]
    fn overflow(&self, make: impl FnOnce() -> Entry<K, L>) -> Result<Arc<Entry<K, L>>, Rejected> {
        let refuses = self.overflow == Overflow::Refuse;
        if refuses && !self.shadow {
            return Err(self.emitter.refuse(Stage::Arriving, Reason::Overloaded));
        }
        if refuses {
            self.emitter.emit(Stage::Arriving, EventKind::WouldReject(Reason::Overloaded));
        }
        if self.spare.get().is_none() {
            // Made by nobody under the lock: whoever comes second lets go of his own.
            let _ = self.spare.set(Arc::new(make()));
        }
        Ok(self.spare.get().expect("it has been set").clone())
    }

    /// Forgets one entry that is idle, an unused one first, and says whether it did.
    fn make_room(&self, gone: &impl Fn(u64)) -> bool {
        let mut left = A_WINDOW;
        let mut used = Vec::new();
        while left > 0 {
            let seen = lock(&self.table).look_for_room(&mut left);
            for candidate in seen {
                if candidate.used {
                    used.push(candidate);
                } else if self.evict(&candidate, gone) {
                    return true;
                }
            }
        }
        used.iter().any(|candidate| self.evict(candidate, gone))
    }

    /// Forgets some of what has been idle too long.
    #[cold]
    pub(super) fn sweep(&self, now: Option<u64>, gone: impl Fn(u64)) {
        let (Some(idle), Some(now)) = (&self.idle, now) else { return };
        let places = lock(&self.table).places();
        idle.next_sweep.store(now.saturating_add(idle.pause(places)), Ordering::Relaxed);
        self.sweep_window(idle, now, &gone);
    }

    /// Forgets all that has been idle too long, and says how much that was.
    pub(super) fn purge(&self) -> usize {
        let (Some(idle), Some(now)) = (&self.idle, self.now()) else { return 0 };
        let windows = lock(&self.table).places().div_ceil(A_WINDOW);
        (0..windows).map(|_| self.sweep_window(idle, now, &|_| ())).sum()
    }

    fn sweep_window(&self, idle: &Idle, now: u64, gone: &impl Fn(u64)) -> usize {
        let Some(before) = now.checked_sub(idle.limit) else { return 0 };
        let seen = lock(&self.table).sweep(before, A_WINDOW);
        seen.iter().filter(|candidate| self.evict(candidate, gone)).count()
    }

    /// Forgets a candidate, unless it must be kept or has been used since it was one.
    fn evict(&self, candidate: &Candidate<K, L>, gone: &impl Fn(u64)) -> bool {
        if candidate.entry.upgrade().is_none_or(|entry| self.is_kept(&entry)) {
            return false;
        }
        // Dropped after the lock, with the user's layer in it.
        let evicted = lock(&self.table).evict(candidate);
        let is_evicted = evicted.is_some();
        drop(evicted);
        if is_evicted {
            gone(candidate.hash);
        }
        is_evicted
    }

    /// Whether an entry, of which the caller has one reference, is in use or pinned.
    fn is_kept(&self, entry: &Arc<Entry<K, L>>) -> bool {
        Arc::strong_count(entry) > 2
            || (entry.is_pinned() && !cfg!(mutant = "pinned-key-forgotten"))
            || self.keep.as_ref().is_some_and(|keep| keep(entry.layer()))
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.table).len()
    }

    /// The entry of a key, unless it has been idle too long.
    pub(super) fn get<Q>(&self, hash: u64, query: &Q) -> Option<Arc<Entry<K, L>>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let entry = lock(&self.table).find(hash, query)?;
        if !self.is_expired(&entry, self.now()) {
            return Some(entry);
        }
        let candidate = Candidate::new(&entry);
        drop(entry);
        self.evict(&candidate, &|_| ());
        lock(&self.table).find(hash, query)
    }

    /// Forgets a key, whatever state it is in.
    pub(super) fn remove<Q>(&self, hash: u64, query: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        // Dropped after the lock, with the user's layer in it.
        let removed = lock(&self.table).remove(hash, query);
        removed.is_some_and(|entry| {
            entry.remove();
            true
        })
    }

    #[cfg(test)]
    pub(super) fn peek(&self, hash: u64, key: &K) -> Option<Arc<Entry<K, L>>>
    where
        K: Eq,
    {
        lock(&self.table).find(hash, key)
    }

    /// All entries there are, a window at a time: nobody waits for the whole of them.
    pub(super) fn each(&self, mut work: impl FnMut(&Arc<Entry<K, L>>)) {
        let mut at = 0;
        loop {
            let table = lock(&self.table);
            let window: Vec<_> = table.range(at..at + A_WINDOW).cloned().collect();
            let places = table.places();
            drop(table);
            window.iter().for_each(&mut work);
            at += A_WINDOW;
            if at >= places {
                return;
            }
        }
    }

    /// Whether anything here is in use or must be kept.
    pub(super) fn is_pinned(&self) -> bool {
        let mut pinned = false;
        // One reference more than the others count with: that of the window.
        self.each(|entry| pinned = pinned || self.is_kept(entry));
        pinned
    }
}

impl Idle {
    fn new(limit: Duration) -> Self {
        let limit = nanoseconds(limit);
        Self { limit, epoch: time::now(), next_sweep: AtomicU64::new(limit) }
    }

    fn now(&self) -> u64 {
        since(self.epoch)
    }

    /// From one sweep to the next, so that a round over all places takes half the limit.
    fn pause(&self, places: usize) -> u64 {
        let windows = places.div_ceil(A_WINDOW).max(1) as u64;
        self.limit / 2 / windows
    }
}

/// The time by a clock that began then, in nanoseconds.
#[inline]
pub(super) fn since(epoch: Instant) -> u64 {
    nanoseconds(time::now().saturating_duration_since(epoch))
}

/// Saturates after 584 years.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl<K, L> fmt::Debug for Registry<K, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("emitter", &self.emitter)
            .field("keys", &self.len())
            .finish_non_exhaustive()
    }
}
