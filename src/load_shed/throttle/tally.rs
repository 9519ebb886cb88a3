//! [`Live`] and [`Past`]: requests over the last so many slices of time.

use crate::sync::{AtomicU64, Ordering};

/// Slices of a window. The newest is only partly over, so the window is short by up to a 32nd.
pub(super) const SLICES: u64 = if cfg!(any(buttress_loom, buttress_shuttle)) { 2 } else { 32 };

const COUNT_BITS: u32 = 28;

/// The largest live count.
const MOST: u64 = (1 << COUNT_BITS) - 1;

/// The last slice that there is: after 68 years, with the shortest window.
pub(super) const LAST: u64 = u64::MAX >> COUNT_BITS;

/// The requests of the newest slice, without a lock.
///
/// One word, the slice and the count, so that whoever adds to it knows that it is still for that
/// slice. Nothing else is ordered by it: `Relaxed` does.
#[derive(Debug, Default)]
pub(super) struct Live(AtomicU64);

impl Live {
    /// Counts one, unless this is for another slice, or full.
    #[inline(always)]
    pub(super) fn add(&self, slice: u64) -> bool {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            // Of another slice it is no count: more than the most, be it by wrapping.
            if word.wrapping_sub(slice << COUNT_BITS) >= MOST {
                return false;
            }
            let (ordering, next) = (Ordering::Relaxed, word + 1);
            match self.0.compare_exchange_weak(word, next, ordering, ordering) {
                Ok(_) => return true,
                Err(found) => word = found,
            }
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed) & MOST
    }

    /// Goes on to another slice, and hands out what it has counted.
    pub(super) fn turn(&self, slice: u64) -> u64 {
        self.0.swap(slice << COUNT_BITS, Ordering::Relaxed) & MOST
    }
}

/// What the window holds besides what is live, with running sums.
#[derive(Debug, Default)]
#[allow(clippy::cast_possible_truncation)] // 32.
pub(super) struct Past {
    /// The slices up to the newest one, each at its number modulo theirs.
    slices: [Sums; SLICES as usize],
    newest: u64,
    sums: Sums,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) requests: u64,
    /// Those among them that were not accepted.
    pub(super) lowered: u64,
}

impl Past {
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    pub(super) fn sums(&self) -> Sums {
        self.sums
    }

    /// Goes on to a later slice, after so many live requests of the newest one.
    pub(super) fn turn(&mut self, slice: u64, live: u64) {
        self.add(self.newest, Sums { requests: live, lowered: 0 });
        for number in (self.newest + 1..=slice).take(self.slices.len()) {
            let leaving = std::mem::take(self.slot(number));
            self.sums.requests -= leaving.requests;
            self.sums.lowered -= leaving.lowered;
        }
        self.newest = slice;
    }

    /// Adds to a slice, the newest or an earlier one; nothing if that has left the window.
    pub(super) fn add(&mut self, slice: u64, more: Sums) {
        if slice + SLICES > self.newest {
            let slot = self.slot(slice);
            slot.requests += more.requests;
            slot.lowered += more.lowered;
            self.sums.requests += more.requests;
            self.sums.lowered += more.lowered;
        }
    }

    #[allow(clippy::cast_possible_truncation)] // Below `SLICES`.
    fn slot(&mut self, slice: u64) -> &mut Sums {
        &mut self.slices[(slice % SLICES) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Sums = Sums { requests: 1, lowered: 1 };

    #[test]
    fn a_slice_counts_until_as_many_have_begun_since() {
        let mut past = Past::default();
        past.turn(5, 0);
        past.add(5, ONE);
        past.add(4, ONE);
        assert_eq!(past.sums(), Sums { requests: 2, lowered: 2 });
        past.turn(4 + SLICES, 7);
        assert_eq!(past.sums(), Sums { requests: 8, lowered: 1 }, "and what was live until then");
        past.add(4, ONE);
        assert_eq!(past.sums().requests, 8, "what has left is not counted under another");
        past.turn(5 + SLICES, 0);
        assert_eq!(past.sums(), Sums::default());
        past.add(5 + SLICES, ONE);
        past.turn(LAST, 1);
        assert_eq!(past.sums(), Sums::default(), "long after");
    }

    #[test]
    fn a_live_count_is_of_its_slice_alone() {
        let live = Live::default();
        assert!(live.add(0) && live.add(0));
        assert!(!live.add(1), "it is not there yet");
        assert_eq!(live.turn(2), 2);
        assert!(!live.add(1) && !live.add(3));
        assert!(live.add(2));
        assert_eq!(live.count(), 1);
    }

    #[test]
    fn the_last_slice_is_as_good_as_the_first_and_a_full_count_stays_full() {
        let live = Live::default();
        live.turn(LAST);
        assert!(live.add(LAST) && !live.add(LAST - 1) && !live.add(0));
        live.0.store(LAST << COUNT_BITS | MOST, Ordering::Relaxed);
        assert!(!live.add(LAST));
        assert_eq!(live.turn(LAST), MOST);
    }
}
