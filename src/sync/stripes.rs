//! [`Stripes`]: one counter for each of a few threads, so that counting shares no cache line.

use std::cell::Cell;
use std::sync::OnceLock;

/// Enough for the threads of a runtime on a small machine; on a larger one a few share each.
/// One under loom, where every thread more that can be told apart multiplies the work.
const STRIPES: usize = if cfg!(any(buttress_loom, buttress_shuttle)) { 1 } else { 8 };

/// A value on cache lines of its own: two, since processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

/// A few `T`s, of which each thread writes one.
#[derive(Debug, Default)]
pub(crate) struct Stripes<T>([Padded<T>; STRIPES]);

impl<T> Stripes<T> {
    /// The one that this thread writes.
    #[inline]
    pub(crate) fn mine(&self) -> &T {
        &self.0[place() % STRIPES].0
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        self.0.iter().map(|stripe| &stripe.0)
    }
}

/// As [`Stripes`], of values that are made when their thread first comes: for what there may be
/// very many of, of which few threads see most.
#[derive(Debug)]
pub(crate) struct Sparse<T>([OnceLock<T>; STRIPES]);

impl<T> Sparse<T> {
    /// The one of this thread.
    #[inline(always)]
    pub(crate) fn mine(&self, make: impl FnOnce() -> T) -> &T {
        let stripe = &self.0[place() % STRIPES];
        match stripe.get() {
            Some(mine) => mine,
            None => stripe.get_or_init(make),
        }
    }

    /// Those that have been made.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().filter_map(OnceLock::get)
    }
}

impl<T> Default for Sparse<T> {
    fn default() -> Self {
        Self([const { OnceLock::new() }; STRIPES])
    }
}

const NOWHERE: usize = usize::MAX;

thread_local! {
    static PLACE: Cell<usize> = const { Cell::new(NOWHERE) };
}

/// A number of this thread, the same everywhere.
#[inline]
fn place() -> usize {
    match PLACE.get() {
        NOWHERE => take_place(),
        place => place,
    }
}

#[cold]
fn take_place() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering};

    // The standard library's also under loom, whose atomics cannot live in a static.
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let place = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
    PLACE.set(place);
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_take_turns() {
        let places: Vec<usize> = (0..2 * STRIPES)
            .map(|_| {
                let places = || (place(), place());
                let (first, again) = std::thread::spawn(places).join().unwrap();
                assert_eq!(first, again);
                first
            })
            .collect();
        // Other tests take places meanwhile: not all of ours can have come out the same.
        assert!(STRIPES == 1 || places.iter().any(|place| *place != places[0]), "{places:?}");
    }
}
