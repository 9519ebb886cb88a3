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
        for word in bytes.chunks_exact(8) {
            let word = u64::from_le_bytes(word.try_into().expect("8 bytes"));
            self.0 = fold(self.0.rotate_left(23) ^ word);
        }
    }

    /// How long a key is says nothing.
    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// By the golden ratio, and both halves of the product: the lower alone would never see, in its
/// low bits, the high bits of what is multiplied.
#[allow(clippy::cast_possible_truncation)]
fn fold(word: u64) -> u64 {
    let product = u128::from(word) * 0x9e37_79b9_7f4a_7c15;
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys that differ in one byte, wherever it is, spread like any others.
    #[test]
    fn each_byte_of_a_key_counts_in_all_parts_of_its_hash() {
        for place in 0..32 {
            let hash = |byte: u8| {
                let mut key = [0; 32];
                key[place] = byte;
                hash(&RecordKey::from_bytes(key))
            };
            for shift in [0, 8, 40, 57] {
                let mut seen = [0; 16];
                (0..=255)
                    .for_each(|byte| seen[usize::try_from(hash(byte) >> shift & 15).unwrap()] += 1);
                let most = seen.iter().max().unwrap();
                assert!(*most <= 40, "byte {place}, bits from {shift}: {seen:?}");
            }
        }
    }
}
