//! [`FindKey`]: where the key of a request is found.

use std::borrow::Cow;
use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;

/// Finds the key of a request. Implemented by [`ByValue`] and [`ByRef`], which are made by
/// [`KeyedLayer::new`](super::KeyedLayer::new) and [`KeyedLayer::by_ref`](super::KeyedLayer::by_ref).
pub trait FindKey<Req> {
    /// What keys are looked up by. What is kept is its owned form.
    type Query: ToOwned + Hash + Eq + ?Sized;

    /// The key of this request.
    fn find_key<'a>(&self, request: &'a Req) -> Cow<'a, Self::Query>;
}

/// A closure that makes the key: `Fn(&Req) -> K`.
pub struct ByValue<F, K> {
    find: F,
    key: PhantomData<fn() -> K>,
}

impl<F, K> ByValue<F, K> {
    pub(super) fn new(find: F) -> Self {
        Self { find, key: PhantomData }
    }
}

impl<F, K, Req> FindKey<Req> for ByValue<F, K>
where
    F: Fn(&Req) -> K,
    K: Hash + Eq + Clone,
{
    type Query = K;

    #[inline]
    fn find_key<'a>(&self, request: &'a Req) -> Cow<'a, K> {
        Cow::Owned((self.find)(request))
    }
}

impl<F, K> fmt::Debug for ByValue<F, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByValue")
    }
}

/// A closure that points out the key in the request: `Fn(&Req) -> &Q`.
pub struct ByRef<F, Q: ?Sized> {
    find: F,
    key: PhantomData<fn(&Q)>,
}

impl<F, Q: ?Sized> ByRef<F, Q> {
    pub(super) fn new(find: F) -> Self {
        Self { find, key: PhantomData }
    }
}

impl<F, Q, Req> FindKey<Req> for ByRef<F, Q>
where
    F: Fn(&Req) -> &Q,
    Q: ToOwned + Hash + Eq + ?Sized,
{
    type Query = Q;

    #[inline]
    fn find_key<'a>(&self, request: &'a Req) -> Cow<'a, Q> {
        Cow::Borrowed((self.find)(request))
    }
}

impl<F, Q: ?Sized> fmt::Debug for ByRef<F, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByRef")
    }
}
