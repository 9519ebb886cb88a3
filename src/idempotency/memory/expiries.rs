//! [`Expiries`]: which record expires first.

use crate::time::Instant;

/// The children of each node. Four lie on two cache lines, and halve the depth of two.
const ARITY: usize = 4;

/// A heap in which each record knows its place, so that one that is deleted leaves nothing behind:
/// a heap that forgets lazily would keep every claim that was released for a whole retention.
///
/// What it says is no later than the truth: where a record's retention is extended, the heap hears
/// of it once the record has come to the top.
#[derive(Debug, Default)]
pub(super) struct Expiries {
    heap: Vec<Node>,
    /// By slot: where in the heap it is.
    places: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    at: Instant,
    slot: u32,
}

impl Expiries {
    /// The record that may be the next to expire, and when.
    pub(super) fn first(&self) -> Option<(Instant, u32)> {
        self.heap.first().map(|node| (node.at, node.slot))
    }

    /// With the latest expiry so far, as with one retention for all, nothing is moved.
    pub(super) fn insert(&mut self, slot: u32, at: Instant) {
        if self.places.len() <= slot as usize {
            self.places.resize(slot as usize + 1, 0);
        }
        self.heap.push(Node { at, slot });
        self.rise(self.heap.len() - 1);
    }

    pub(super) fn remove(&mut self, slot: u32) {
        let place = self.place(slot);
        self.heap.swap_remove(place);
        if place < self.heap.len() {
            self.sink(place);
            self.rise(place);
        }
    }

    /// A record that may expire earlier than was said.
    pub(super) fn at_latest(&mut self, slot: u32, at: Instant) {
        let place = self.place(slot);
        if at < self.heap[place].at {
            self.heap[place].at = at;
            self.rise(place);
        }
    }

    /// The first one will expire only then.
    pub(super) fn postpone_first(&mut self, at: Instant) {
        self.heap[0].at = at;
        self.sink(0);
    }

    fn place(&self, slot: u32) -> usize {
        self.places[slot as usize] as usize
    }

    /// Toward the top, past all that expire later.
    fn rise(&mut self, mut place: usize) {
        let node = self.heap[place];
        while place > 0 {
            let parent = (place - 1) / ARITY;
            if self.heap[parent].at <= node.at {
                break;
            }
            self.put(place, self.heap[parent]);
            place = parent;
        }
        self.put(place, node);
    }

    /// Away from the top, past all that expire earlier.
    fn sink(&mut self, mut place: usize) {
        let node = self.heap[place];
        loop {
            let children = place * ARITY + 1..self.heap.len().min(place * ARITY + 1 + ARITY);
            let Some(child) = children.min_by_key(|child| self.heap[*child].at) else { break };
            if node.at <= self.heap[child].at {
                break;
            }
            self.put(place, self.heap[child]);
            place = child;
        }
        self.put(place, node);
    }

    #[allow(clippy::cast_possible_truncation)] // Slots are numbered by u32.
    fn put(&mut self, place: usize, node: Node) {
        self.heap[place] = node;
        self.places[node.slot as usize] = place as u32;
    }
}
