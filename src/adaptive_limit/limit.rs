//! [`Shared`]: the machine behind its lock, and the words that let most calls pass without it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::adaptive_limit::state::Machine;
use crate::adaptive_limit::{Admitted, Algorithm, Ended, Outcome, Range};
use crate::admission::{Admitter, Limited, Limiter};
use crate::classify::Class;
use crate::observe::{EventKind, Stage};
use crate::pinned::Pinned;
use crate::sync::{AtomicBool, AtomicI64, Mutex, Ordering, lock};
use crate::time::{self, Instant};

/// What of a limit has to do with neither the algorithm nor the classifier: all that a `Handle`
/// needs.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) limiter: Limiter,
    pub(super) range: Range,
    /// How many of the next calls are neither timed nor shown to the algorithm.
    skip: AtomicI64,
    /// Somebody has been refused or made to wait since the algorithm last heard of an end.
    pressed: AtomicBool,
}

/// A slot may be held for longer than a call is in flight: by a body that is still sent.
impl Pinned for Core {
    fn is_pinned(&self) -> bool {
        self.limiter.slots.in_flight() > 0
    }
}

/// What all services of one layer value share.
pub(super) struct Shared<A, C> {
    // Behind a pointer of its own, so that a `Handle` needs neither `A` nor `C` nor a vtable.
    core: Arc<Core>,
    steering: Mutex<Steering<A>>,
    pub(super) classifier: C,
}

struct Steering<A> {
    machine: Machine<A>,
    /// The limit that observers were last told of.
    told: usize,
    /// A thread is telling them of another.
    telling: bool,
}

impl Core {
    pub(super) fn new(limiter: Limiter, range: Range) -> Self {
        let (skip, pressed) = (AtomicI64::new(0), AtomicBool::new(false));
        Self { limiter, range, skip, pressed }
    }

    /// Whether this call is one of those that the algorithm can do without.
    #[inline]
    fn skips_one(&self) -> bool {
        // Tested first: so it falls below 0 by at most one for each thread that is between the two.
        self.skip.load(Ordering::Relaxed) > 0 && self.skip.fetch_sub(1, Ordering::Relaxed) > 0
    }

    /// Takes note of one who found no slot. Under overload that is every other call, so what is
    /// there already is not written again.
    fn press(&self) {
        #[cfg(mutant = "refused-not-pressed")]
        if true {
            return;
        }
        if !self.pressed.load(Ordering::Relaxed) {
            self.pressed.store(true, Ordering::Release);
            // The algorithm hears of it with the next call. A swap, as below: of two that change
            // `skip` at once, the later one sees what the earlier one had stored before.
            self.skip.swap(0, Ordering::AcqRel);
        }
    }

    /// The next calls that can be skipped. `pressed` is what the algorithm knew: whoever has been
    /// refused since then ends the skipping.
    fn store_skip(&self, skip: u32, pressed: bool) {
        // Under the machine's lock nobody else raises it: what is 0 stays that.
        if skip == 0 && self.skip.load(Ordering::Relaxed) == 0 {
            return;
        }
        self.skip.swap(i64::from(skip), Ordering::AcqRel);
        if !pressed && self.pressed.load(Ordering::Acquire) {
            self.skip.swap(0, Ordering::AcqRel);
        }
    }
}

impl<A: Algorithm, C> Shared<A, C> {
    /// The machine's limit is that of the core's slots.
    pub(super) fn new(core: Arc<Core>, machine: Machine<A>, classifier: C) -> Self {
        let told = machine.limit();
        let steering = Mutex::new(Steering { machine, told, telling: false });
        Self { core, steering, classifier }
    }

    /// Ends a call: its slot first, so that nobody waits for the rest.
    pub(super) fn end(&self, ticket: &Ticket, class: Class, end: End) {
        let limiter = &self.core.limiter;
        limiter.slots.release(0);
        let Some(since) = ticket.since() else { return };
        let now = time::now();
        let latency = now.saturating_duration_since(since);
        let shown = End { latency: end.latency.or(Some(latency)), ..end };
        let changed = self.show_end(ticket, now, shown);
        limiter.emitter.emit(Stage::InFlight, EventKind::Settled { class, latency });
        self.tell_if(changed);
    }

    /// Ends a call of which nobody wants to know more.
    #[inline]
    pub(super) fn end_untimed(&self) {
        self.core.limiter.slots.release(0);
    }

    /// Ends a call that says nothing; whether that changed the limit.
    fn drop_out(&self, ticket: &Ticket) -> bool {
        #[cfg(not(mutant = "abandoned-call-keeps-its-slot"))]
        self.core.limiter.slots.release(0);
        match ticket {
            Ticket::Sampled { .. } => self.show_end(ticket, time::now(), End::of(Outcome::Unknown)),
            _ => false,
        }
    }

    /// A call that the algorithm or an observer follows. Out of line: most are not followed.
    #[inline(never)]
    fn begin_timed(&self, ticket: &mut Ticket, skipped: bool) {
        let watched = self.core.limiter.emitter.is_on();
        let since = time::now();
        let (mark, changed) = if skipped { (None, false) } else { self.show_begin(since) };
        *ticket = match mark {
            Some(mark) => Ticket::Sampled { since, mark },
            None if watched => Ticket::Timed { since },
            None => Ticket::Untimed,
        };
        self.tell_if(changed);
    }

    /// Shows the algorithm an admitted call: what it wants of its end, and whether that changed
    /// the limit.
    fn show_begin(&self, now: Instant) -> (Option<u64>, bool) {
        let in_flight = self.core.limiter.slots.in_flight();
        let pressed = self.core.pressed.load(Ordering::Acquire);
        self.steer(pressed, |machine| machine.admitted(Admitted { now, in_flight }))
    }

    /// Shows the algorithm the end of a call, if it wants to see it; whether that changed the
    /// limit.
    fn show_end(&self, ticket: &Ticket, now: Instant, end: End) -> bool {
        let Ticket::Sampled { since, mark } = *ticket else { return false };
        let End { outcome, latency } = end;
        let latency = latency.unwrap_or_else(|| now.saturating_duration_since(since));
        let in_flight = self.core.limiter.slots.in_flight();
        // Tested first: most ends find nobody refused, and need not write.
        let pressed = self.core.pressed.load(Ordering::Relaxed)
            && self.core.pressed.swap(false, Ordering::AcqRel);
        // Whoever still waits presses, though it came long ago.
        let pressed = pressed || self.core.limiter.slots.queued() > 0;
        #[cfg(mutant = "grows-unpressed")]
        let pressed = true;
        let call = Ended { now, latency, outcome, in_flight, pressed, mark };
        self.steer(false, |machine| machine.ended(call)).1
    }

    /// Works on the machine under the lock, and does as it says.
    fn steer<T>(&self, pressed: bool, work: impl FnOnce(&mut Machine<A>) -> T) -> (T, bool) {
        let slots = &self.core.limiter.slots;
        let mut steering = lock(&self.steering);
        let result = work(&mut steering.machine);
        // Under the lock, or an older limit could be the last to be set.
        let changed = slots.set_limit(steering.machine.limit(), steering.machine.usual_limit());
        self.core.store_skip(steering.machine.skip(), pressed);
        drop(steering);
        if changed {
            slots.grant();
        }
        (result, changed)
    }

    fn tell_if(&self, changed: bool) {
        if changed && self.core.limiter.emitter.is_on() {
            self.tell();
        }
    }

    /// Tells of a changed limit, so that each event goes on from the one before, whichever threads
    /// made the changes: one thread tells at a time, and whoever finds one at it leaves it the
    /// rest.
    #[cold]
    fn tell(&self) {
        while let Some((from, to)) = self.next_to_tell() {
            let told = Told(self);
            let kind = EventKind::LimitChanged { from, to };
            self.core.limiter.emitter.emit(Stage::Arriving, kind);
            drop(told);
        }
    }

    fn next_to_tell(&self) -> Option<(usize, usize)> {
        let mut steering = lock(&self.steering);
        let limit = self.core.limiter.slots.limit();
        if steering.telling || steering.told == limit {
            return None;
        }
        steering.telling = true;
        Some((std::mem::replace(&mut steering.told, limit), limit))
    }
}

#[cfg(all(test, any(buttress_loom, buttress_shuttle)))]
impl<A, C> Shared<A, C> {
    /// For the models: both at once.
    pub(super) fn slots_and_machine<T>(
        &self,
        look: impl FnOnce(&mut Machine<A>) -> T,
    ) -> (&crate::admission::Slots, T) {
        (&self.core.limiter.slots, look(&mut lock(&self.steering).machine))
    }
}

/// Ends the telling of one change, also when an observer panics.
struct Told<'a, A, C>(&'a Shared<A, C>);

impl<A, C> Drop for Told<'_, A, C> {
    fn drop(&mut self) {
        lock(&self.0.steering).telling = false;
    }
}

/// What a call takes along.
#[derive(Debug)]
pub(super) enum Ticket {
    /// Nobody needs to know how long it takes.
    Untimed,
    /// An observer does.
    Timed { since: Instant },
    /// The algorithm does, which knows it by its mark.
    Sampled { since: Instant, mark: u64 },
}

impl Ticket {
    fn since(&self) -> Option<Instant> {
        match *self {
            Self::Untimed => None,
            Self::Timed { since } | Self::Sampled { since, .. } => Some(since),
        }
    }

    /// Since when it runs, if the algorithm wants to know.
    pub(super) fn sampled_since(&self) -> Option<Instant> {
        match *self {
            Self::Sampled { since, .. } => Some(since),
            _ => None,
        }
    }
}

/// What the end of a call says to the algorithm.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) outcome: Outcome,
    /// How long it took, if that was measured before the end.
    pub(super) latency: Option<Duration>,
}

impl End {
    pub(super) fn of(outcome: Outcome) -> Self {
        Self { outcome, latency: None }
    }
}

impl Outcome {
    /// The class decides first: a classifier may call a timeout an answer.
    pub(super) fn of(class: Class, timed_out: bool) -> Self {
        match class {
            Class::Success | Class::Permanent => Self::Answered,
            Class::Overload { .. } => Self::Overloaded,
            Class::Transient if timed_out => Self::TimedOut,
            Class::Transient | Class::Ignore => Self::Unknown,
        }
    }
}

impl<A: Algorithm, C> Limited for Shared<A, C> {
    #[inline]
    fn limiter(&self) -> &Limiter {
        &self.core.limiter
    }

    #[inline]
    fn ticket(&self, _: usize) -> Ticket {
        Ticket::Untimed
    }

    #[inline]
    fn begin(&self, ticket: &mut Ticket) {
        let skipped = self.core.skips_one();
        if !skipped || self.core.limiter.emitter.is_on() {
            self.begin_timed(ticket, skipped);
        }
    }

    fn give_back(&self, ticket: Ticket) {
        let changed = self.drop_out(&ticket);
        self.tell_if(changed);
    }

    fn on_full(&self) {
        self.core.press();
    }
}

impl<A: Algorithm, C> Admitter for Shared<A, C> {
    type Ticket = Ticket;

    fn settle(&self, ticket: Ticket, class: Class) {
        self.end(&ticket, class, End::of(Outcome::of(class, false)));
    }

    fn abandon(&self, ticket: Ticket) {
        let changed = self.drop_out(&ticket);
        self.core.limiter.emitter.emit(Stage::InFlight, EventKind::Abandoned);
        self.tell_if(changed);
    }
}

impl<A, C> fmt::Debug for Shared<A, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("core", &self.core).finish_non_exhaustive()
    }
}
