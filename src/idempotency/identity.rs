//! What a record is filed under, and what tells two requests under it apart: hashes, so that no
//! key, tenant or body ever reaches a store.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

#[cfg(test)]
pub(super) use tests::hex;

/// The name of a record in the [`Store`](super::Store): a hash over namespace, tenant, operation
/// and key.
///
/// Its `Debug` shows the first four bytes, enough to find a record in logs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey([u8; 32]);

impl RecordKey {
    /// A key that was worked out before, for stores and tools.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// All of it.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Enough of it to find a record in logs.
    pub(crate) fn prefix(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.0;
        [a, b, c, d]
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordKey(")?;
        self.prefix().iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("..)")
    }
}

/// What the request asked for: a hash over its body and whatever else must not change between
/// attempts. The same key with another fingerprint is refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// A fingerprint that was worked out before, for stores and for identities of your own.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The SHA-256 of `request`, in whatever form it is the same for each attempt.
    #[must_use]
    pub fn of(request: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(request).into())
    }

    /// All of it.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(..)")
    }
}

/// Whose key it is: the authenticated principal or tenant. Two scopes never see each other's
/// records.
///
/// Never the raw `Authorization` value: a refreshed token would make a retry a new operation. Its
/// `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Scope(Box<[u8]>);

impl Scope {
    /// The scope of this principal.
    #[must_use]
    pub fn new(principal: impl AsRef<[u8]>) -> Self {
        Self(principal.as_ref().into())
    }

    /// An empty scope is one that somebody forgot to fill in.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scope(..)")
    }
}

/// SHA-256 over parts with their lengths before them, or HMAC-SHA-256 where there is a secret.
///
/// The lengths keep `a/b` + `c` apart from `a` + `b/c`. Each recipe starts with a tag of its own
/// and a version: a hash is kept for as long as the retention, so a recipe never changes under its
/// tag.
pub(super) struct Hasher(State);

enum State {
    Plain(Sha256),
    Keyed(Box<Hmac<Sha256>>),
}

/// The recipe of [`RecordKey`]s.
const KEY_RECIPE: &[u8] = b"idem/key/v1\0";
/// The recipe of the keys that a handler sends on.
pub(super) const STEP_RECIPE: &[u8] = b"idem/step/v1\0";

impl Hasher {
    pub(super) fn new(recipe: &[u8], secret: Option<&[u8]>) -> Self {
        let mut state = match secret {
            None => State::Plain(Sha256::new()),
            // HMAC takes keys of any length.
            Some(secret) => {
                State::Keyed(Box::new(Hmac::new_from_slice(secret).expect("a key of any length")))
            }
        };
        state.update(recipe);
        Self(state)
    }

    /// A part that can be of any length.
    pub(super) fn part(&mut self, bytes: &[u8]) -> &mut Self {
        #[cfg(not(mutant = "lengths-left-out-of-the-hash"))]
        self.number(bytes.len() as u64);
        self.0.update(bytes);
        self
    }

    /// How many parts follow, where that varies.
    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        self.0.update(&number.to_be_bytes());
        self
    }

    pub(super) fn finish(self) -> [u8; 32] {
        match self.0 {
            State::Plain(hash) => hash.finalize().into(),
            State::Keyed(mac) => mac.finalize().into_bytes().into(),
        }
    }
}

impl State {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Plain(hash) => Digest::update(hash, bytes),
            Self::Keyed(mac) => Mac::update(&mut **mac, bytes),
        }
    }
}

/// `H("idem/key/v1\0" | namespace | scope | method | path | key)`, each part with its length before
/// it.
pub(super) fn record_key(
    secret: Option<&[u8]>,
    namespace: &[u8],
    scope: &[u8],
    (method, path): (&[u8], &[u8]),
    key: &[u8],
) -> RecordKey {
    let mut hasher = Hasher::new(KEY_RECIPE, secret);
    hasher.part(namespace).part(scope).part(method).part(path).part(key);
    RecordKey(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(in crate::idempotency) fn hex(bytes: &[u8]) -> String {
        use std::fmt::Write;
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    }

    // Worked out with Python's hashlib and hmac over the recipe as it is written down.
    #[test]
    fn the_record_key_is_the_published_recipe() {
        let key = |secret| record_key(secret, b"orders", b"tenant", (b"POST", b"/orders"), b"k1");
        assert_eq!(hex(key(None).as_bytes()), PLAIN);
        assert_eq!(hex(key(Some(b"secret")).as_bytes()), KEYED);
    }
    const PLAIN: &str = "3bdea75c688046b1e47412a39c2cc80aa52ca93cc3a301a6e4311e51684f52cd";
    const KEYED: &str = "5832604fbd87cd7b5c85c4c283acd7ee59dc7167bcaf9eec3c531f5a3a979ebd";

    #[test]
    fn no_two_splits_of_the_same_bytes_are_alike() {
        let key = |scope: &[u8], path: &[u8]| record_key(None, b"", scope, (b"POST", path), b"k");
        assert_ne!(key(b"a/b", b"c"), key(b"a", b"b/c"));
        assert_ne!(key(b"", b"ab"), key(b"ab", b""));
        let count = |n| {
            let mut hasher = Hasher::new(KEY_RECIPE, None);
            hasher.number(n).part(b"x");
            hasher.finish()
        };
        assert_ne!(count(1), count(2));
    }

    #[test]
    fn debug_shows_no_secret() {
        let said = format!(
            "{:?} {:?} {:?}",
            Scope::new("tenant-7"),
            Fingerprint::of("body"),
            RecordKey::from_bytes([0xab; 32])
        );
        assert_eq!(said, "Scope(..) Fingerprint(..) RecordKey(abababab..)");
    }
}
