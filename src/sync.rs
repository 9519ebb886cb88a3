//! The atomics and the lock that the layers share, exchangeable for those of loom and of shuttle.
//!
//! A cfg of our own, `buttress_loom`, switches them: `cfg(loom)` would reach into tokio as well
//! and take its network away. `buttress_shuttle` is the other one.

pub(crate) mod anchors;
#[cfg(all(test, any(buttress_loom, buttress_shuttle)))]
pub(crate) mod schedules;
pub(crate) mod stripes;

#[cfg(buttress_loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering},
};
#[cfg(buttress_shuttle)]
pub(crate) use shuttle::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering},
};
#[cfg(not(any(buttress_loom, buttress_shuttle)))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering},
};

/// Locks whatever a panicking holder left behind.
///
/// No state here is left half-written across a call that can panic (users' closures never run
/// under a lock), so poisoning carries no information; passing it on would only turn one panicked
/// call into an outage.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
