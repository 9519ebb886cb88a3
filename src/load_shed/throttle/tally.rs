//! [`Tally`]: a count over the last so many slices of time, without a lock.

use crate::sync::{AtomicU64, Ordering};

/// Slices of a window. The newest is only partly over, so the window is short by up to a 32nd.
pub(super) const SLICES: u64 = if cfg!(any(buttress_loom, buttress_shuttle)) { 2 } else { 32 };

const COUNT_BITS: u32 = 28;

/// The largest count of a slot.
const MOST: u64 = (1 << COUNT_BITS) - 1;

/// The last slice that there is: after 68 years, with the shortest window.
pub(super) const LAST: u64 = u64::MAX >> COUNT_BITS;

/// Counts what belongs to a slice, and forgets it with the slice.
///
/// A slot is one word, the slice that it is for and its count, so that whoever comes with a later
/// slice clears it and nobody else has to.
#[derive(Debug)]
#[allow(clippy::cast_possible_truncation)] // 32.
pub(super) struct Tally([AtomicU64; SLICES as usize]);

impl Default for Tally {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Tally {
    /// Counts one for `slice`; nothing if that has left the window.
    #[inline]
    pub(super) fn add(&self, slice: u64) {
        #[allow(clippy::cast_possible_truncation)] // Below `SLICES`.
        let slot = &self.0[(slice % SLICES) as usize];
        let mut word = slot.load(Ordering::Relaxed);
        loop {
            let (found, count) = (word >> COUNT_BITS, word & MOST);
            if found > slice {
                return;
            }
            let before = if found == slice { count } else { 0 };
            // What a slot cannot hold is not held: 268 million in one slice, of a single stripe.
            let new = slice << COUNT_BITS | (before + 1).min(MOST);
            match slot.compare_exchange_weak(word, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(found) => word = found,
            }
        }
    }

    /// What the window that ends with slice `now` holds. Slices that come after it, which others
    /// have read off the clock since, are in it.
    pub(super) fn sum(&self, now: u64) -> u64 {
        let words = self.0.iter().map(|slot| slot.load(Ordering::Acquire));
        words.filter(|word| (word >> COUNT_BITS) + SLICES > now).map(|word| word & MOST).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_counts_until_as_many_have_begun_since() {
        let tally = Tally::default();
        tally.add(5);
        tally.add(5);
        assert_eq!(tally.sum(5), 2);
        assert_eq!(tally.sum(4), 2, "by a clock that is a little behind");
        assert_eq!(tally.sum(5 + SLICES - 1), 2);
        assert_eq!(tally.sum(5 + SLICES), 0);
        tally.add(5 + SLICES);
        tally.add(5);
        assert_eq!(tally.sum(5 + SLICES), 1, "what has left is not counted under another");
    }

    #[test]
    fn the_last_slice_is_as_good_as_the_first_and_a_full_slot_stays_full() {
        let tally = Tally::default();
        tally.add(LAST);
        assert_eq!((tally.sum(LAST), tally.sum(LAST - 1)), (1, 1));
        tally.0[(LAST % SLICES) as usize].store(LAST << COUNT_BITS | MOST, Ordering::Relaxed);
        tally.add(LAST);
        assert_eq!(tally.sum(LAST), MOST);
    }
}
