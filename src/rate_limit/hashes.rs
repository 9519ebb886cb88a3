//! [`Hashes`]: a hash that is known is not worked out again.

use std::cell::Cell;
use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};

/// As its [`RandomState`], but for one key whose hash it is told.
///
/// A key is hashed to find its shard, and a map takes no hash from outside. A cheaper hash for the
/// shard would let whoever chooses the keys put them all into one.
pub(super) struct Hashes {
    random: RandomState,
    /// Of the key that is looked up next.
    known: Cell<Option<u64>>,
}

impl Hashes {
    pub(super) fn new(random: RandomState) -> Self {
        Self { random, known: Cell::new(None) }
    }

    /// The next hash to be asked for, if there is one.
    #[inline(always)]
    pub(super) fn expect(&self, known: Option<u64>) {
        self.known.set(known);
    }
}

impl BuildHasher for Hashes {
    type Hasher = KnownOr;

    #[inline(always)]
    fn build_hasher(&self) -> KnownOr {
        match self.known.take() {
            Some(hash) => KnownOr::Known(hash),
            None => KnownOr::Asked(self.random.build_hasher()),
        }
    }
}

pub(super) enum KnownOr {
    Known(u64),
    Asked(DefaultHasher),
}

impl Hasher for KnownOr {
    #[inline(always)]
    fn write(&mut self, bytes: &[u8]) {
        if let Self::Asked(hasher) = self {
            hasher.write(bytes);
        }
    }

    #[inline(always)]
    fn finish(&self) -> u64 {
        match self {
            Self::Known(hash) => *hash,
            Self::Asked(hasher) => hasher.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_asked_for_once_and_all_else_is_worked_out() {
        let random = RandomState::new();
        let hashes = Hashes::new(random.clone());
        for key in ["a", "bc"] {
            assert_eq!(hashes.hash_one(key), random.hash_one(key));
            hashes.expect(Some(7));
            assert_eq!(hashes.hash_one(key), 7);
            assert_eq!(hashes.hash_one(key), random.hash_one(key));
        }
        assert_eq!(hashes.hash_one((1_u32, "x")), random.hash_one((1_u32, "x")));
        hashes.expect(Some(7));
        hashes.expect(None);
        assert_eq!(hashes.hash_one(3_u64), random.hash_one(3_u64));
    }
}
