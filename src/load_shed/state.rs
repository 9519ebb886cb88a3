//! What all services of one load shed layer share, and the places in its line.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use crate::admission::{Admitter, Permit};
use crate::classify::Class;
use crate::load_shed::drive::{Driver, Duty};
use crate::load_shed::gate::Gate;
use crate::load_shed::line::{Joined, Line, Offer};
use crate::observe::{Emitter, EventKind, Stage};
use crate::priority::Priority;
use crate::rejected::{Reason, Rejected};
use crate::sync::{AtomicUsize, Mutex, Ordering, lock};
use crate::time::{self, Instant};

#[derive(Debug)]
pub(super) struct State {
    emitter: Emitter,
    shadow: bool,
    gate: Option<Gate>,
    line: Mutex<Line>,
    /// 1 while it matters that the inner service is found ready; with nothing waiting, that is
    /// after a refusal. The one word that the fast path reads.
    news: AtomicUsize,
    driver: Driver,
}

/// What asking to be served came to, where nothing is ready.
pub(super) enum Entry {
    Waiting(Place),
    /// Refused, and the first to find that readiness has to be driven on from here.
    Refused(Rejected, Option<Duty>),
}

impl State {
    pub(super) fn new(emitter: Emitter, shadow: bool, gate: Option<Gate>, line: Line) -> Self {
        let (line, news, driver) = (Mutex::new(line), AtomicUsize::new(0), Driver::default());
        Self { emitter, shadow, gate, line, news, driver }
    }

    pub(super) fn is_shadow(&self) -> bool {
        self.shadow
    }

    pub(super) fn driver(&self) -> &Driver {
        &self.driver
    }

    /// Whether nothing but the inner service decides.
    pub(super) fn has_gate(&self) -> bool {
        self.gate.is_some()
    }

    /// Whether the call is not of the share to be refused.
    #[inline(always)]
    pub(super) fn admits(&self, priority: Priority, ready: bool) -> bool {
        self.gate.as_ref().is_none_or(|gate| gate.admits(priority, ready))
    }

    /// The call goes to an inner service that was ready for it. Without an observer there is
    /// nothing to settle, so nothing is held.
    #[inline(always)]
    pub(super) fn admit(state: &Arc<Self>, from: Stage, waited: Duration) -> Permit<Self> {
        if !state.emitter.is_on() {
            return Permit::empty();
        }
        let permit = Permit::new(state.clone(), time::now());
        state.emitter.emit(from, EventKind::Admitted { waited });
        permit
    }

    /// The inner service was found ready, or to have failed.
    #[inline(always)]
    pub(super) fn inner_ready(&self) {
        if self.news.load(Ordering::Relaxed) != 0 {
            self.take_note();
        }
    }

    #[cold]
    fn take_note(&self) {
        let now = time::now();
        let mut line = lock(&self.line);
        line.inner_ready(now);
        self.settle(&line, now);
    }

    /// Refuses a call for which the inner service is not ready, and which may not wait.
    #[cold]
    pub(super) fn refuse_unready(&self) -> Rejected {
        self.news.store(1, Ordering::Relaxed);
        self.refuse_pressed(Stage::Arriving)
    }

    /// Refuses a call as one too many.
    #[cold]
    pub(super) fn refuse(&self) -> Rejected {
        self.emitter.refuse(Stage::Arriving, Reason::Overloaded)
    }

    /// A shadow would have refused, for want of room where the inner service made it wait.
    #[cold]
    pub(super) fn would_refuse(&self, pressed: bool) {
        if let (true, Some(gate)) = (pressed, &self.gate) {
            gate.pressed();
        }
        self.emitter.emit(Stage::Arriving, EventKind::WouldReject(Reason::Overloaded));
    }

    fn refuse_pressed(&self, stage: Stage) -> Rejected {
        if let Some(gate) = &self.gate {
            gate.pressed();
        }
        self.emitter.refuse(stage, Reason::Overloaded)
    }

    /// A place in the line, or beside it for those who are exempt, or a refusal.
    pub(super) fn wait(state: &Arc<Self>, exempt: bool) -> Entry {
        let now = time::now();
        let mut key = None;
        if !exempt {
            match state.join(now) {
                Joined::Waits(place) => key = Some(place),
                Joined::Refused => {
                    let duty = Self::take_duty(state, now);
                    return Entry::Refused(state.refuse_pressed(Stage::Arriving), duty);
                }
            }
        }
        // Owned by the place from here on, before any observer runs.
        let place = Place { state: state.clone(), key, since: now, waits: true };
        state.emitter.emit(Stage::Arriving, EventKind::Queued);
        Entry::Waiting(place)
    }

    fn join(&self, now: Instant) -> Joined {
        let mut line = lock(&self.line);
        self.news.store(1, Ordering::Relaxed);
        line.join(now)
    }

    fn take_duty(state: &Arc<Self>, now: Instant) -> Option<Duty> {
        lock(&state.line).take_duty(now).then(|| Duty::new(state))
    }

    /// Nobody drives readiness any more, and whether the inner service was seen not to be pending.
    pub(super) fn duty_ended(&self, ready: bool) {
        let now = time::now();
        let mut line = lock(&self.line);
        line.duty_ended();
        if ready {
            line.inner_ready(now);
        }
        self.settle(&line, now);
    }

    /// What a shadow would have done with a call that waited so long for the inner service.
    pub(super) fn would_wait_too_long(&self, since: Instant) -> bool {
        lock(&self.line).would_end(since) <= time::now()
    }

    pub(super) fn is_shedding(&self) -> bool {
        let (news, now) = (self.news.load(Ordering::Relaxed) != 0, time::now());
        let line = lock(&self.line);
        let refuses = if line.is_for_waiting() {
            line.is_failing(now) || line.is_overloaded(now)
        } else {
            news
        };
        drop(line);
        refuses || self.excess() > 0.0
    }

    pub(super) fn excess(&self) -> f64 {
        self.gate.as_ref().map_or(0.0, Gate::excess)
    }

    pub(super) fn queued(&self) -> usize {
        lock(&self.line).len()
    }

    pub(super) fn queue_delay(&self) -> Duration {
        lock(&self.line).delay(time::now())
    }

    /// Keeps the word true to the line.
    fn settle(&self, line: &Line, now: Instant) {
        self.news.store(usize::from(line.wants_news(now)), Ordering::Relaxed);
    }
}

impl Admitter for State {
    /// Since when it has been in flight. Held only where somebody listens.
    type Ticket = Instant;

    #[inline(always)]
    fn settle(&self, since: Instant, class: Class) {
        self.emitter.settled(since, class);
    }

    fn abandon(&self, _: Instant) {
        self.emitter.emit(Stage::InFlight, EventKind::Abandoned);
    }
}

/// A place in the line, or beside it. Dropped, it is given up.
#[derive(Debug)]
pub(super) struct Place {
    state: Arc<State>,
    /// None for the exempt, who wait beside the line.
    key: Option<u64>,
    since: Instant,
    waits: bool,
}

/// What became of one whose inner service is ready.
pub(super) enum Turn {
    /// Its call is made.
    Served(Permit<State>),
    /// It is somebody else's turn.
    Passed,
    /// It has waited longer than is allowed.
    Late,
}

impl Place {
    /// Whether it is this one that asks the inner service; if not, `waker` is woken when it is.
    pub(super) fn has_turn(&self, waker: &Waker) -> bool {
        // Wakers are cloned and dropped outside the lock: what that runs is the executor's, and it
        // may come back here.
        let Some(key) = self.key else { return true };
        let waker = waker.clone();
        let (turn, _unused) = lock(&self.state.line).poll(key, waker);
        turn
    }

    /// When the wait is over, if ever.
    pub(super) fn until(&self) -> Option<Instant> {
        lock(&self.state.line).until(self.key?)
    }

    /// The inner service is ready.
    pub(super) fn offer(&mut self) -> Turn {
        let now = time::now();
        let waited = match self.key.map(|key| self.offer_in_line(key, now)) {
            None => now.saturating_duration_since(self.since),
            Some(Offer::Late) => return Turn::Late,
            Some(Offer::Passed(woken)) => {
                woken.wake();
                return Turn::Passed;
            }
            Some(Offer::Served(waited, woken)) => {
                woken.wake();
                waited
            }
        };
        self.waits = false;
        if let Some(gate) = &self.state.gate {
            gate.served();
        }
        Turn::Served(State::admit(&self.state, Stage::Waiting, waited))
    }

    fn offer_in_line(&self, key: u64, now: Instant) -> Offer {
        let mut line = lock(&self.state.line);
        let offer = line.offer(key, now);
        self.state.settle(&line, now);
        offer
    }

    /// The wait is over. The second part is there for the first to find that readiness has to be
    /// driven on from here.
    pub(super) fn refuse(&mut self) -> (Rejected, Option<Duty>) {
        let duty = State::take_duty(&self.state, time::now());
        self.leave(true);
        (self.state.refuse_pressed(Stage::Waiting), duty)
    }

    /// The inner service failed to get ready. That is the outcome of the call.
    pub(super) fn fail(&mut self) -> Permit<State> {
        self.state.inner_ready();
        self.leave(false);
        State::admit(&self.state, Stage::Waiting, time::now().saturating_duration_since(self.since))
    }

    /// Out of the line, if it is still in it.
    fn leave(&mut self, refused: bool) -> bool {
        let waits = std::mem::take(&mut self.waits);
        if let (true, Some(key)) = (waits, self.key) {
            let now = time::now();
            let mut line = lock(&self.state.line);
            let woken = line.leave(key, now, refused);
            self.state.settle(&line, now);
            drop(line);
            woken.wake();
        }
        waits
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.leave(false) {
            self.state.emitter.emit(Stage::Waiting, EventKind::Abandoned);
        }
    }
}
