//! [`Waiters`]: a queue from whose middle a waiter can leave in O(1).

use std::task::Waker;

/// A linked list in a slab. Its memory is reused, so that a queue at work allocates nothing.
///
/// A waiter is in line until it is granted or leaves; a granted one keeps its place in the slab
/// until its owner takes notice.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    nodes: Vec<Node>,
    free: Option<u32>,
    head: Option<u32>,
    tail: Option<u32>,
    waiting: usize,
}

#[derive(Debug)]
struct Node {
    waker: Option<Waker>,
    partition: usize,
    granted: bool,
    /// Toward the head; for a free node, the next free one.
    previous: Option<u32>,
    next: Option<u32>,
}

impl Waiters {
    /// How many are in line.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    pub(super) fn push_back(&mut self, partition: usize) -> u32 {
        let node = Node { waker: None, partition, granted: false, previous: self.tail, next: None };
        let key = if let Some(key) = self.free {
            self.free = self.node(key).previous;
            self.nodes[key as usize] = node;
            key
        } else {
            let key = u32::try_from(self.nodes.len()).expect("fewer than 2^32 waiters");
            self.nodes.push(node);
            key
        };
        match self.tail {
            Some(tail) => self.node(tail).next = Some(key),
            None => self.head = Some(key),
        }
        self.tail = Some(key);
        self.waiting += 1;
        key
    }

    /// The first in line whose partition satisfies `wanted`; the last, if `backwards`.
    pub(super) fn next(&self, backwards: bool, wanted: impl Fn(usize) -> bool) -> Option<u32> {
        let mut next = if backwards { self.tail } else { self.head };
        while let Some(key) = next {
            let node = &self.nodes[key as usize];
            if wanted(node.partition) {
                return Some(key);
            }
            next = if backwards { node.previous } else { node.next };
        }
        None
    }

    pub(super) fn partition(&self, key: u32) -> usize {
        self.nodes[key as usize].partition
    }

    /// Takes a waiter out of the line and marks it; gives back whom to wake.
    pub(super) fn grant(&mut self, key: u32) -> Option<Waker> {
        self.unlink(key);
        let node = self.node(key);
        node.granted = true;
        node.waker.take()
    }

    /// Whether it has been granted; if not, who is to be woken when it is. Gives back the waker
    /// that is of no use any more, which may be the one it was given.
    pub(super) fn poll(&mut self, key: u32, waker: Waker) -> (bool, Option<Waker>) {
        let node = self.node(key);
        if node.granted {
            return (true, Some(waker));
        }
        (false, node.waker.replace(waker))
    }

    /// Forgets a waiter, in line or granted; tells whether it had been granted, and gives back
    /// whom it would have woken.
    pub(super) fn remove(&mut self, key: u32) -> (bool, Option<Waker>) {
        let granted = self.node(key).granted;
        if !granted {
            self.unlink(key);
        }
        let free = self.free.replace(key);
        let node = self.node(key);
        node.previous = free;
        (granted, node.waker.take())
    }

    fn unlink(&mut self, key: u32) {
        let Node { previous, next, .. } = *self.node(key);
        match previous {
            Some(previous) => self.node(previous).next = next,
            None => self.head = next,
        }
        match next {
            Some(next) => self.node(next).previous = previous,
            None => self.tail = previous,
        }
        self.waiting -= 1;
    }

    fn node(&mut self, key: u32) -> &mut Node {
        &mut self.nodes[key as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(waiters: &Waiters) -> Vec<usize> {
        let seen = std::cell::RefCell::new(Vec::new());
        waiters.next(false, |partition| {
            seen.borrow_mut().push(partition);
            false
        });
        seen.into_inner()
    }

    #[test]
    fn leaving_from_anywhere_keeps_the_line() {
        let mut waiters = Waiters::default();
        let keys: Vec<_> = (0..5).map(|n| waiters.push_back(n)).collect();
        for leaving in [2, 0, 4] {
            assert!(!waiters.remove(keys[leaving]).0);
        }
        assert_eq!((line(&waiters), waiters.len()), (vec![1, 3], 2));
        assert_eq!(waiters.push_back(9), keys[4], "places are used again");
        waiters.grant(keys[1]);
        assert_eq!(line(&waiters), [3, 9]);
        assert!(waiters.remove(keys[1]).0, "it had been granted");
    }

    #[test]
    fn memory_is_bounded_by_the_longest_line() {
        let mut waiters = Waiters::default();
        for round in 0..1000 {
            let (a, b) = (waiters.push_back(round), waiters.push_back(round));
            waiters.grant(b);
            waiters.remove(a);
            waiters.remove(b);
        }
        assert_eq!((waiters.nodes.len(), waiters.len()), (2, 0));
        assert_eq!((waiters.head, waiters.tail), (None, None));
    }
}
