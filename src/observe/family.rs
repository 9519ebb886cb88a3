//! Counters that differ in one label.

use std::sync::OnceLock;

use ::metrics::Counter;

/// The counters of one metric that differ in one label, in the order of their first use.
///
/// A scan over a few short labels costs less than a hash, and what is counted most has usually
/// come first. A label beyond the capacity is still counted, by a look-up in the recorder.
pub(super) struct Family<K, const N: usize>([OnceLock<(K, Counter)>; N]);

impl<K: Copy + PartialEq, const N: usize> Family<K, N> {
    pub(super) fn increment(&self, label: K, make: impl Fn(K) -> Counter) {
        for slot in &self.0 {
            let (held, counter) = slot.get_or_init(|| (label, make(label)));
            if *held == label {
                return counter.increment(1);
            }
        }
        make(label).increment(1);
    }
}

impl<K, const N: usize> Default for Family<K, N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| OnceLock::new()))
    }
}
