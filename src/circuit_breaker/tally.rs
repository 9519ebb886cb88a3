//! [`Tally`]: routine successes, counted apart so that calls on several threads share nothing.

use crate::sync::stripes::{Padded, Sparse};
use crate::sync::{Mutex, lock};
use crate::time::Instant;
use crate::window::Slot;

/// The successes that the machine has not been shown yet: of each thread its own.
///
/// A success while all is well changes nothing but the sums of the window. So it is only counted
/// here, under a lock that no other thread asks for, and whoever needs the machine collects these
/// counts first. A count is for one slot of the window and for one generation of the circuit: what
/// the machine is shown later is what it would have been shown at once.
///
/// The alternative, a batch that reaches the machine now and then, needs no clock either; but its
/// calls would be dated later than they ended, and then a window is not exact.
#[derive(Debug)]
pub(super) struct Tally {
    // Boxed where a thread comes: of circuits there may be one for each key.
    stripes: Sparse<Box<Padded<Mutex<Count>>>>,
}

#[derive(Debug, Default)]
struct Count {
    /// What the successes are counted for; nothing is, before this thread has seen the machine.
    place: Option<Place>,
    calls: u64,
}

/// What successes are counted for at present.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) generation: u64,
    pub(super) slot: Slot,
}

impl Tally {
    /// With the count of this thread.
    pub(super) fn new() -> Self {
        let tally = Self { stripes: Sparse::default() };
        tally.mine();
        tally
    }

    /// Counts a success of that generation that ended `now`; `false` if it has to go to the
    /// machine. `still_routine` is asked when nobody can be collecting this count.
    #[inline]
    pub(super) fn add(
        &self,
        generation: u64,
        now: Instant,
        still_routine: impl FnOnce() -> bool,
    ) -> bool {
        let mut count = lock(&self.mine().0);
        let fits = count
            .place
            .is_some_and(|place| place.generation == generation && place.slot.holds(now));
        let counted = fits && still_routine();
        count.calls += u64::from(counted);
        counted
    }

    /// Says what this thread's successes are counted for from here on.
    pub(super) fn renew(&self, place: Place) {
        lock(&self.mine().0).place = Some(place);
    }

    #[inline]
    fn mine(&self) -> &Padded<Mutex<Count>> {
        self.stripes.mine(Box::default)
    }

    /// Takes all counts.
    pub(super) fn collect(&self, mut show: impl FnMut(Slot, u64)) {
        for stripe in self.stripes.iter() {
            let mut count = lock(&stripe.0);
            let calls = std::mem::take(&mut count.calls);
            if let (Some(place), 1..) = (count.place, calls) {
                show(place.slot, calls);
            }
        }
    }
}
