//! [`KeyHasher`]: what a map needs of a key that is a hash already.

use std::hash::{BuildHasherDefault, Hash, Hasher};

use crate::idempotency::RecordKey;

pub(super) type ByKey = BuildHasherDefault<KeyHasher>;

/// Folds the 32 bytes of a key into 8.
///
/// Keys are SHA-256 outputs. Whoever can choose what is hashed still has to try 2^n inputs for
/// each key that shares n chosen bits with another, so that a table full of collisions costs far
/// more to make than to serve; with a secret, keys cannot be tried at all. All bytes count, since
/// keys of one's own making may differ in few.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KeyHasher(u64);

/// The hash of a key, for whoever has to choose before there is a map.
pub(super) fn hash(key: &RecordKey) -> u64 {
    let mut hasher = KeyHasher::default();
    key.hash(&mut hasher);
    hasher.finish()
}

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        // An odd factor for each step, the golden ratio: no two places cancel each other out.
        for word in bytes.chunks_exact(8) {
            let word = u64::from_le_bytes(word.try_into().expect("8 bytes"));
            self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    /// How long a key is says nothing.
    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        // A product's low bits know nothing of the high bits of its factors.
        self.0 ^ (self.0 >> 32)
    }
}
