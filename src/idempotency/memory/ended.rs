//! [`Ended`]: the records that have ended, the oldest first.

/// No slot.
const NONE: u32 = u32::MAX;

/// A list through the slots, out of whose middle a record can leave at once.
#[derive(Debug)]
pub(super) struct Ended {
    /// By slot.
    links: Vec<Link>,
    head: u32,
    tail: u32,
    /// All before this one have no answer that takes room.
    answers: u32,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    previous: u32,
    next: u32,
    /// Its number among all that have ended; 0 where it has not.
    ending: u64,
}

impl Link {
    const OUT: Self = Self { previous: NONE, next: NONE, ending: 0 };
}

impl Default for Ended {
    fn default() -> Self {
        Self { links: Vec::new(), head: NONE, tail: NONE, answers: NONE }
    }
}

impl Ended {
    /// The `ending` is greater than all before.
    pub(super) fn push(&mut self, slot: u32, ending: u64) {
        if self.links.len() <= slot as usize {
            self.links.resize(slot as usize + 1, Link::OUT);
        }
        let previous = std::mem::replace(&mut self.tail, slot);
        *self.link(slot) = Link { previous, next: NONE, ending };
        if previous == NONE {
            self.head = slot;
        } else {
            self.link(previous).next = slot;
        }
        if self.answers == NONE {
            self.answers = slot;
        }
    }

    /// Takes a record out, where it is in.
    pub(super) fn remove(&mut self, slot: u32) {
        let Some(link) = self.links.get_mut(slot as usize) else { return };
        let Link { previous, next, ending } = std::mem::replace(link, Link::OUT);
        if ending == 0 {
            return;
        }
        if previous == NONE {
            self.head = next;
        } else {
            self.link(previous).next = next;
        }
        if next == NONE {
            self.tail = previous;
        } else {
            self.link(next).previous = previous;
        }
        if self.answers == slot {
            self.answers = next;
        }
    }

    /// The oldest, and its number.
    pub(super) fn oldest(&self) -> Option<(u64, u32)> {
        self.get(self.head)
    }

    /// The oldest with an answer that takes room, and its number. Passes each of the others once.
    pub(super) fn oldest_answer(&mut self, has: impl Fn(u32) -> bool) -> Option<(u64, u32)> {
        while self.answers != NONE && !has(self.answers) {
            self.answers = self.links[self.answers as usize].next;
        }
        self.get(self.answers)
    }

    fn get(&self, slot: u32) -> Option<(u64, u32)> {
        (slot != NONE).then(|| (self.links[slot as usize].ending, slot))
    }

    fn link(&mut self, slot: u32) -> &mut Link {
        &mut self.links[slot as usize]
    }
}
