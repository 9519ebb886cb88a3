//! Who holds a record.

use std::fmt;

use crate::idempotency::RecordKey;
use crate::rng;

/// One execution of a request. Drawn by the caller of [`begin`](super::Store::begin) from the
/// operating system's randomness, so that a `begin` whose answer was lost can be repeated.
///
/// Never from a seed: two replicas with one seed would take each other's claims for their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OwnerId(u128);

impl OwnerId {
    /// An owner of this number, for stores and tests.
    #[must_use]
    pub const fn new(id: u128) -> Self {
        Self(id)
    }

    /// An owner like no other.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness.
    #[must_use]
    pub fn random() -> Self {
        Self(rng::identifier())
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u128 {
        self.0
    }
}

/// The number of a claim: each that the store grants for a key is greater than those before.
///
/// Hand it to whatever the handler writes to, where that can compare: a holder whose lease has
/// lapsed is then kept out there as well ([Kleppmann, 2016]).
///
/// [Kleppmann, 2016]: https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(u64);

impl Fence {
    /// The fence of this number, for stores.
    #[must_use]
    pub const fn new(fence: u64) -> Self {
        Self(fence)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The right to run one request: whoever holds it, and nobody else, may end its record.
///
/// It is not `Clone`: a store makes one for each claim that it grants.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claim {
    /// The record.
    pub key: RecordKey,
    /// The execution that holds it.
    pub owner: OwnerId,
    /// The number of the claim. Together with the owner it authorises every write.
    pub fence: Fence,
    /// 1 for the first execution under this key, 2 for the one that took over from it.
    pub attempt: u32,
}

impl Claim {
    /// A claim that a store grants.
    #[must_use]
    pub const fn new(key: RecordKey, owner: OwnerId, fence: Fence, attempt: u32) -> Self {
        Self { key, owner, fence, attempt }
    }
}
