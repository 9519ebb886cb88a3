//! Whose bucket a call is charged to.

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use crate::pinned::{self, Pinned};
use crate::rate_limit::Overflow;
use crate::rate_limit::bucket::{Bucket, Charged};
use crate::rate_limit::state::{Short, nanos};
use crate::rate_limit::table::Table;
use crate::sync::stripes::Padded;
use crate::time::{self, Instant};

/// Where the buckets are: [`Whole`], [`PerKey`] or [`PerBorrowedKey`].
pub trait Buckets {
    /// What a waiting call keeps of its key, to give back what it has not used.
    type Spot;

    /// As the layer needs them: with room for so many keys, and with its time.
    #[doc(hidden)]
    #[must_use]
    fn fitted(self, capacity: usize, overflow: Overflow, epoch: Instant) -> Self
    where
        Self: Sized;

    /// Tells whoever keeps layers of what these remember. Those of keys do not, since keys need be
    /// neither `Send` nor `'static`: their handle can be asked.
    #[doc(hidden)]
    fn announce(self: &Arc<Self>) {}

    /// Takes a charge back, if nobody has come after it.
    #[doc(hidden)]
    fn undo(&self, spot: &Self::Spot, charged: Charged);

    /// What a call owes that comes now.
    #[doc(hidden)]
    fn debt(&self, spot: &Self::Spot, now: u64) -> u64;
}

/// Finds the bucket of a request.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot find a key in a request of type `{Req}`",
    note = "pass a closure `|request: &{Req}| -> Key {{ .. }}` to `key`, or one that returns a reference into the request to `key_ref`"
)]
pub trait FindBucket<Req>: Buckets {
    /// Charges it. `act` is handed what the bucket owes, and may run several times.
    #[doc(hidden)]
    fn charge(
        &self,
        request: &Req,
        now: u64,
        act: impl FnMut(u64) -> Result<u64, Short>,
    ) -> Result<Charged, Short>;

    #[doc(hidden)]
    fn spot(&self, request: &Req) -> Self::Spot;
}

/// One rate for all calls: the default.
pub struct Whole {
    // Apart from what is only read: each call writes it.
    bucket: Arc<Padded<Bucket>>,
    /// Where the bucket's time starts.
    epoch: Instant,
}

impl Whole {
    pub(super) fn new() -> Self {
        Self { bucket: Arc::default(), epoch: time::now() }
    }

    pub(super) fn bucket(&self) -> &Arc<Padded<Bucket>> {
        &self.bucket
    }
}

impl Buckets for Whole {
    type Spot = ();

    fn fitted(self, _: usize, _: Overflow, epoch: Instant) -> Self {
        Self { epoch, ..self }
    }

    fn announce(self: &Arc<Self>) {
        pinned::announce(self);
    }

    fn undo(&self, (): &(), charged: Charged) {
        self.bucket.0.undo(charged);
    }

    fn debt(&self, (): &(), now: u64) -> u64 {
        self.bucket.0.debt(now)
    }
}

/// A new one would have a full bucket: to forget this one would be to forgive what it owes.
impl Pinned for Whole {
    fn is_pinned(&self) -> bool {
        self.bucket.0.debt(nanos(self.epoch, time::now())) > 0
    }
}

impl<Req> FindBucket<Req> for Whole {
    #[inline(always)]
    fn charge(
        &self,
        _: &Req,
        now: u64,
        act: impl FnMut(u64) -> Result<u64, Short>,
    ) -> Result<Charged, Short> {
        self.bucket.0.charge(now, act)
    }

    fn spot(&self, _: &Req) {}
}

impl fmt::Debug for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Whole")
    }
}

/// A rate for each key that `F` finds in a request. Made by [`Builder::key`](super::Builder::key).
pub struct PerKey<F, K> {
    find: F,
    table: Arc<Table<K>>,
}

impl<F, K> PerKey<F, K> {
    pub(super) fn new(find: F) -> Self {
        Self { find, table: Arc::new(Table::new(1, Overflow::Refuse)) }
    }

    pub(super) fn table(&self) -> &Arc<Table<K>> {
        &self.table
    }
}

impl<F, K: Hash + Eq> Buckets for PerKey<F, K> {
    type Spot = K;

    fn fitted(self, capacity: usize, overflow: Overflow, _: Instant) -> Self {
        Self { table: Arc::new(Table::new(capacity, overflow)), ..self }
    }

    fn undo(&self, key: &K, charged: Charged) {
        self.table.undo(key, charged);
    }

    fn debt(&self, key: &K, now: u64) -> u64 {
        self.table.debt(key, now)
    }
}

impl<Req, F, K> FindBucket<Req> for PerKey<F, K>
where
    F: Fn(&Req) -> K,
    K: Hash + Eq,
{
    #[inline(always)]
    fn charge(
        &self,
        request: &Req,
        now: u64,
        mut act: impl FnMut(u64) -> Result<u64, Short>,
    ) -> Result<Charged, Short> {
        let key = (self.find)(request);
        match self.table.charge(&key, now, &mut act) {
            Some(charged) => charged,
            None => self.table.insert(key, now, act),
        }
    }

    fn spot(&self, request: &Req) -> K {
        (self.find)(request)
    }
}

impl<F, K> fmt::Debug for PerKey<F, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerKey").field("table", &self.table).finish_non_exhaustive()
    }
}

/// As [`PerKey`], for keys that are borrowed from the request: only a key that is not remembered
/// yet is copied. Made by [`Builder::key_ref`](super::Builder::key_ref).
pub struct PerBorrowedKey<F, Q: ToOwned + ?Sized> {
    find: F,
    table: Arc<Table<Q::Owned>>,
}

impl<F, Q: ToOwned + ?Sized> PerBorrowedKey<F, Q> {
    pub(super) fn new(find: F) -> Self {
        Self { find, table: Arc::new(Table::new(1, Overflow::Refuse)) }
    }

    pub(super) fn table(&self) -> &Arc<Table<Q::Owned>> {
        &self.table
    }
}

impl<F, Q> Buckets for PerBorrowedKey<F, Q>
where
    Q: ToOwned<Owned: Hash + Eq> + Hash + Eq + ?Sized,
{
    type Spot = Q::Owned;

    fn fitted(self, capacity: usize, overflow: Overflow, _: Instant) -> Self {
        Self { table: Arc::new(Table::new(capacity, overflow)), ..self }
    }

    fn undo(&self, key: &Q::Owned, charged: Charged) {
        self.table.undo::<Q>(key.borrow(), charged);
    }

    fn debt(&self, key: &Q::Owned, now: u64) -> u64 {
        self.table.debt::<Q>(key.borrow(), now)
    }
}

impl<Req, F, Q> FindBucket<Req> for PerBorrowedKey<F, Q>
where
    F: Fn(&Req) -> &Q,
    Q: ToOwned<Owned: Hash + Eq> + Hash + Eq + ?Sized,
{
    #[inline(always)]
    fn charge(
        &self,
        request: &Req,
        now: u64,
        mut act: impl FnMut(u64) -> Result<u64, Short>,
    ) -> Result<Charged, Short> {
        let key = (self.find)(request);
        match self.table.charge(key, now, &mut act) {
            Some(charged) => charged,
            None => self.table.insert(key.to_owned(), now, act),
        }
    }

    fn spot(&self, request: &Req) -> Q::Owned {
        (self.find)(request).to_owned()
    }
}

impl<F, Q: ToOwned + ?Sized> fmt::Debug for PerBorrowedKey<F, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerBorrowedKey").field("table", &self.table).finish_non_exhaustive()
    }
}
