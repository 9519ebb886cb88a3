//! [`Table`]: the keys that there are, and which of them may go. Knows neither a lock nor a clock.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Weak};

use crate::keyed::entry::{Candidate, Entry};

/// The entries by the hash of their keys, and in a row, in which a hand goes round: whom it finds
/// unused since its last round is the first to go (the clock algorithm, or second chance). An exact
/// order of use would be a write to what all calls share.
pub(super) struct Table<K, L> {
    index: HashMap<u64, u32, ByHash>,
    slots: Vec<Slot<K, L>>,
    free: Vec<u32>,
    hand: usize,
    /// The same for what has been idle too long.
    broom: usize,
    capacity: usize,
}

/// A place in the row. Keys with the same hash are chained.
struct Slot<K, L> {
    next: Option<u32>,
    entry: Option<Arc<Entry<K, L>>>,
}

/// What the table says to one who comes with a key.
pub(super) enum Answer<K, L> {
    Found(Arc<Entry<K, L>>),
    /// There is room, and no entry to put there yet.
    Vacant,
    Full,
}

/// How many unused candidates the hand looks for at a time.
const A_FEW: usize = 4;

impl<K, L> Table<K, L> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            index: HashMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
            hand: 0,
            broom: 0,
            capacity,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Places in the row, empty ones included.
    pub(super) fn places(&self) -> usize {
        self.slots.len()
    }

    /// The entry of this key.
    pub(super) fn find<Q>(&self, hash: u64, query: &Q) -> Option<Arc<Entry<K, L>>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.chain(hash).map(|(_, entry)| entry).find(|entry| entry.has(query)).cloned()
    }

    /// The entry of this key: the one that is there, else the one that was made, if there is room.
    pub(super) fn find_or_insert<Q>(
        &mut self,
        hash: u64,
        query: &Q,
        made: &mut Option<Entry<K, L>>,
    ) -> Answer<K, L>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        if let Some(entry) = self.find(hash, query) {
            return Answer::Found(entry);
        }
        if self.len() >= self.capacity {
            return Answer::Full;
        }
        match made.take() {
            None => Answer::Vacant,
            Some(entry) => Answer::Found(self.insert(entry)),
        }
    }

    /// Goes on with the hand over at most `left` places, until it has seen a few entries that have
    /// not been used since it came by. What has been used, and is idle, is for want of better.
    pub(super) fn look_for_room(&mut self, left: &mut usize) -> Vec<Candidate<K, L>> {
        let mut seen = Vec::new();
        let mut unused = 0;
        *left = (*left).min(self.places());
        while *left > 0 && unused < A_FEW {
            *left -= 1;
            if let Some(entry) = Self::step(&self.slots, &mut self.hand)
                && is_idle(entry)
            {
                let candidate = Candidate::new(entry);
                unused += usize::from(!candidate.used);
                seen.push(candidate);
            }
        }
        seen
    }

    /// Goes on over at most `places` places, looking for what has been idle since `before`.
    pub(super) fn sweep(&mut self, before: u64, places: usize) -> Vec<Candidate<K, L>> {
        let mut seen = Vec::new();
        for _ in 0..places.min(self.places()) {
            if let Some(entry) = Self::step(&self.slots, &mut self.broom)
                && is_idle(entry)
                && entry.idle_since() <= before
            {
                seen.push(Candidate::new(entry));
            }
        }
        seen
    }

    /// The entry, out of the table, unless it has been used, removed or taken since it became a
    /// candidate. To be dropped outside of the lock.
    pub(super) fn evict(&mut self, candidate: &Candidate<K, L>) -> Option<Entry<K, L>> {
        let is_it = |entry: &Arc<_>| Weak::as_ptr(&candidate.entry) == Arc::as_ptr(entry);
        let (slot, entry) = self.chain(candidate.hash).find(|(_, entry)| is_it(entry))?;
        if !is_idle(entry) || candidate.is_outdated(entry) {
            return None;
        }
        match Arc::try_unwrap(self.slots[slot as usize].entry.take()?) {
            // A call from beginning to end between the two questions: it stays, as a new
            // allocation, of which the services know nothing yet.
            Ok(entry) if candidate.is_outdated(&entry) => {
                self.slots[slot as usize].entry = Some(Arc::new(entry));
                None
            }
            Ok(entry) => {
                self.unlink(candidate.hash, slot);
                Some(entry)
            }
            Err(entry) => {
                self.slots[slot as usize].entry = Some(entry);
                None
            }
        }
    }

    /// The entry of this key, out of the table, whatever state it is in.
    pub(super) fn remove<Q>(&mut self, hash: u64, query: &Q) -> Option<Arc<Entry<K, L>>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let (slot, _) = self.chain(hash).find(|(_, entry)| entry.has(query))?;
        let entry = self.slots[slot as usize].entry.take();
        self.unlink(hash, slot);
        entry
    }

    /// Those in some of the places.
    pub(super) fn range(
        &self,
        places: std::ops::Range<usize>,
    ) -> impl Iterator<Item = &Arc<Entry<K, L>>> {
        let slots = self.slots.get(places.start..places.end.min(self.slots.len()));
        slots.unwrap_or_default().iter().filter_map(|slot| slot.entry.as_ref())
    }

    fn insert(&mut self, entry: Entry<K, L>) -> Arc<Entry<K, L>> {
        let (hash, entry) = (entry.hash(), Arc::new(entry));
        let next = self.index.get(&hash).copied();
        let slot = Slot { next, entry: Some(entry.clone()) };
        let place = if let Some(place) = self.free.pop() {
            self.slots[place as usize] = slot;
            place
        } else {
            self.slots.push(slot);
            u32::try_from(self.slots.len() - 1).expect("the capacity is at most 2^24")
        };
        self.index.insert(hash, place);
        entry
    }

    /// Takes an emptied slot out of its chain.
    fn unlink(&mut self, hash: u64, slot: u32) {
        let next = self.slots[slot as usize].next.take();
        let mut at = self.index.get(&hash).copied();
        if at == Some(slot) {
            match next {
                Some(next) => self.index.insert(hash, next),
                None => self.index.remove(&hash),
            };
        } else {
            while let Some(before) = at {
                at = self.slots[before as usize].next;
                if at == Some(slot) {
                    self.slots[before as usize].next = next;
                }
            }
        }
        self.free.push(slot);
    }

    fn chain(&self, hash: u64) -> impl Iterator<Item = (u32, &Arc<Entry<K, L>>)> {
        let first = self.index.get(&hash).copied();
        let chain = std::iter::successors(first, |slot| self.slots[*slot as usize].next);
        chain.filter_map(|slot| Some((slot, self.slots[slot as usize].entry.as_ref()?)))
    }

    /// The entry at the hand, which moves on.
    fn step<'a>(slots: &'a [Slot<K, L>], hand: &mut usize) -> Option<&'a Arc<Entry<K, L>>> {
        *hand = if *hand < slots.len() { *hand } else { 0 };
        let slot = slots.get(*hand)?;
        *hand += 1;
        slot.entry.as_ref()
    }
}

/// Whether nobody but the table has a reference.
fn is_idle<K, L>(entry: &Arc<Entry<K, L>>) -> bool {
    Arc::strong_count(entry) == 1
}

/// For maps whose keys are hashes already.
pub(super) type ByHash = BuildHasherDefault<Identity>;

#[derive(Default)]
pub(super) struct Identity(u64);

impl Hasher for Identity {
    fn write(&mut self, _: &[u8]) {
        unreachable!("only whole hashes are written");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
