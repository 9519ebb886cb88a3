//! [`Pinned`]: state that must outlast idleness, and how it is heard of.
//!
//! Whoever keeps layers for as long as they are of use asks their state before it forgets one. It
//! cannot ask the layers: any layer may be kept, tower's among them, inside any stack, and few have
//! an answer. So a layer of this crate that has one says so when it is built, and whoever builds
//! layers in order to keep them listens meanwhile.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

/// Says whether it would do harm to forget this now, though nobody is using it.
///
/// Implemented by the handles of what remembers more than it is told again soon: a
/// [circuit breaker](crate::circuit_breaker::Handle) that is not closed, a
/// [bulkhead](crate::bulkhead::Handle) or [adaptive limit](crate::adaptive_limit::Handle) with
/// calls in flight, a rate limit whose bucket is not full.
pub trait Pinned: Send + Sync {
    /// Whether it must be kept. Quick, and without side effects.
    fn is_pinned(&self) -> bool;
}

/// What was built while somebody listened. It keeps nothing alive.
pub(crate) type Pins = Vec<Weak<dyn Pinned>>;

thread_local! {
    static HEARD: RefCell<Option<Pins>> = const { RefCell::new(None) };
}

/// Tells whoever builds layers here, in order to keep them, of this one's state.
pub(crate) fn announce<P: Pinned + 'static>(state: &Arc<P>) {
    HEARD.with_borrow_mut(|heard| {
        if let Some(pins) = heard {
            let state: Weak<P> = Arc::downgrade(state);
            pins.push(state);
        }
    });
}

/// Builds, and listens meanwhile.
pub(crate) fn listen<T>(work: impl FnOnce() -> T) -> (T, Pins) {
    let outer = Outer(HEARD.replace(Some(Pins::new())));
    let built = work();
    let heard = HEARD.take().unwrap_or_default();
    drop(outer);
    (built, heard)
}

/// Whoever was listening already. Dropped, also by a panic, it goes on.
struct Outer(Option<Pins>);

impl Drop for Outer {
    fn drop(&mut self) {
        HEARD.set(self.0.take());
    }
}

/// Whether any of them must be kept.
pub(crate) fn any(pins: &[Weak<dyn Pinned>]) -> bool {
    pins.iter().any(|pin| pin.upgrade().is_some_and(|state| state.is_pinned()))
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    impl Pinned for bool {
        fn is_pinned(&self) -> bool {
            *self
        }
    }

    #[test]
    fn whoever_listens_hears_of_what_is_built_meanwhile_and_of_nothing_else() {
        let state = Arc::new(true);
        announce(&state);
        let ((), pins) = listen(|| {
            announce(&state);
            let ((), inner) = listen(|| announce(&state));
            assert_eq!(inner.len(), 1);
            let panicked = catch_unwind(AssertUnwindSafe(|| listen(|| panic!("in a factory"))));
            assert!(panicked.is_err());
            announce(&Arc::new(false));
            announce(&state);
        });
        announce(&state);
        assert_eq!(pins.len(), 3);
        assert!(any(&pins));
        drop(state);
        assert!(!any(&pins), "what is gone pins nothing");
    }
}
