//! [`Machine`]: the circuit breaker itself, synchronous and handed the time.

mod operator;
mod reserve;

use std::collections::VecDeque;
use std::time::Duration;

use crate::backoff;
use crate::circuit_breaker::Phase;
use crate::circuit_breaker::config::Settings;
use crate::circuit_breaker::probes::Probes;
use crate::circuit_breaker::tally::Place;
use crate::circuit_breaker::ticket::{Reception, Refusal, Role, Ticket};
use crate::classify::Class;
use crate::rng::Rng;
use crate::time::{self, Instant};
use crate::window::{Outcome, Outcomes, Slot, Totals, Window};

/// States, window and trips. Decides for one call at a time, under the lock of its owner.
#[derive(Debug)]
pub(super) struct Machine {
    settings: Settings,
    state: State,
    /// Raised by every transition. A result of an earlier generation decides nothing.
    generation: u64,
    window: Outcomes,
    /// Failures in a row.
    streak: u32,
    /// Openings in a row, without a stable close between them.
    openings: u32,
    /// When the present state began.
    since: Instant,
    last_failure: Option<Class>,
    forced_because: Option<String>,
    /// Transitions that nobody has been told of yet.
    untold: VecDeque<(Phase, Phase)>,
}

#[derive(Debug)]
enum State {
    Closed { recorded: u64, ramping: bool },
    Open { until: Instant },
    HalfOpen(Probes),
    ForcedOpen,
    Disabled,
}

impl Machine {
    pub(super) fn new(settings: Settings, now: Instant) -> Self {
        let window = Outcomes::new(settings.window, now);
        Self {
            settings,
            state: State::Closed { recorded: 0, ramping: false },
            generation: 0,
            window,
            streak: 0,
            openings: 0,
            since: now,
            last_failure: None,
            forced_because: None,
            untold: VecDeque::new(),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        match self.state {
            State::Closed { .. } => Phase::Closed,
            State::Open { .. } => Phase::Open,
            State::HalfOpen(_) => Phase::HalfOpen,
            State::ForcedOpen => Phase::ForcedOpen,
            State::Disabled => Phase::Disabled,
        }
    }

    /// When the present state began.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    pub(super) fn open_until(&self) -> Option<Instant> {
        match self.state {
            State::Open { until } => Some(until),
            _ => None,
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether every call passes without a look at this machine.
    pub(super) fn admits_all(&self) -> bool {
        matches!(self.state, State::Closed { ramping: false, .. } | State::Disabled)
    }

    /// Whether a success changes nothing but the sums of the window, until somebody else does
    /// something here: it ends no streak, and as long as no time passes it cannot trip. With enough
    /// calls in the window, each success more only lowers the rates.
    pub(super) fn is_routine(&self) -> bool {
        let counts = matches!(self.state, State::Closed { .. } | State::Disabled);
        counts && self.streak == 0 && {
            let totals = self.window.present();
            totals.failed == 0 && totals.slow == 0
                || totals.calls >= u64::from(self.settings.minimum_calls)
                    && !self.rates_trip(totals)
        }
    }

    /// Where a success that ends at present is counted.
    pub(super) fn place(&self) -> Place {
        Place { generation: self.generation, slot: self.window.slot() }
    }

    /// Successes of this generation that ended in that slot while they were routine.
    pub(super) fn count_routine(&mut self, slot: Slot, calls: u64) {
        self.window.record_good(slot, calls);
        if let State::Closed { recorded, .. } = &mut self.state {
            *recorded += calls;
        }
    }

    /// The oldest transition that nobody has been told of.
    pub(super) fn next_untold(&mut self) -> Option<(Phase, Phase)> {
        self.untold.pop_front()
    }

    pub(super) fn has_untold(&self) -> bool {
        !self.untold.is_empty()
    }

    /// Lets a call through, or not.
    pub(super) fn admit(&mut self, now: Instant, rng: &mut Rng) -> Result<Ticket, Refusal> {
        if let Some(refusal) = self.refusal(now, rng) {
            return Err(refusal);
        }
        if matches!(self.state, State::Open { .. }) {
            self.enter(now, State::HalfOpen(Probes::default()));
        }
        let role = match &mut self.state {
            State::HalfOpen(probes) => Role::Probe(probes.issue(now)),
            State::Closed { ramping, .. } => {
                match share_of_ramp(self.settings.ramp, self.since, now).filter(|_| *ramping) {
                    None => *ramping = false,
                    Some((share, _)) if rng.fraction() < share => {}
                    Some((_, left)) => return Err(Refusal { retry_after: Some(left) }),
                }
                Role::Call
            }
            _ => Role::Call,
        };
        Ok(Ticket { generation: self.generation, role })
    }

    /// What `admit` would refuse a call with, as far as that needs no draw and takes no slot.
    pub(super) fn refusal(&mut self, now: Instant, rng: &mut Rng) -> Option<Refusal> {
        self.pass_time(now, rng);
        match &self.state {
            State::Closed { .. } | State::Disabled => None,
            State::ForcedOpen => Some(Refusal { retry_after: None }),
            State::Open { until } => {
                (now < *until).then(|| Refusal { retry_after: Some(*until - now) })
            }
            State::HalfOpen(probes) => refusal_of_half_open(probes, &self.settings, now),
        }
    }

    /// A call ended. Checked against the trips whatever its class: a slow success can trip.
    pub(super) fn settle(
        &mut self,
        now: Instant,
        ticket: Ticket,
        class: Class,
        latency: Duration,
        rng: &mut Rng,
    ) -> Reception {
        self.pass_time(now, rng);
        match ticket.role {
            Role::Bystander => {}
            #[cfg(not(mutant = "stale-result-applied"))]
            _ if ticket.generation != self.generation => return Reception::Late,
            Role::Probe(id) => self.settle_probe(now, id, class, latency, rng),
            Role::Call => self.settle_call(now, class, latency, rng),
        }
        Reception::Counted
    }

    /// A call was cancelled or panicked: a probe gives its slot back, and nothing else happens.
    pub(super) fn abandon(&mut self, ticket: Ticket) {
        if let (Role::Probe(id), true) = (ticket.role, ticket.generation == self.generation) {
            #[cfg(not(mutant = "cancelled-probe-keeps-its-slot"))]
            self.return_probe(id);
        }
    }

    /// What the passing of time alone changes: probes that hang are reclaimed, as a timer would
    /// have done it at the moment it was due, and so are slots that nobody uses.
    fn pass_time(&mut self, now: Instant, rng: &mut Rng) {
        let State::HalfOpen(probes) = &mut self.state else { return };
        probes.reclaim(now, self.settings.half_open_for);
        let Some(due) = probes.due(self.settings.half_open_for) else { return };
        if due <= now && !cfg!(mutant = "hung-probe-wedges") {
            self.open(due, None, rng);
        }
    }

    fn settle_probe(
        &mut self,
        now: Instant,
        id: u32,
        class: Class,
        latency: Duration,
        rng: &mut Rng,
    ) {
        if !self.return_probe(id) || class == Class::Ignore {
            return;
        }
        let outcome = self.judge(class, latency);
        if outcome.failed || outcome.slow && !cfg!(mutant = "slow-probe-succeeds") {
            self.open(now, hint(class), rng);
        } else if let State::HalfOpen(probes) = &mut self.state
            && probes.succeed() >= self.settings.close_after
        {
            self.close(now);
        }
    }

    fn settle_call(&mut self, now: Instant, class: Class, latency: Duration, rng: &mut Rng) {
        if class == Class::Ignore {
            return;
        }
        let outcome = self.judge(class, latency);
        match class {
            Class::Transient => self.streak = self.streak.saturating_add(1),
            Class::Overload { .. } => {}
            _ => self.streak = 0,
        }
        if self.settings.keeps_window() {
            self.window.record(now, outcome);
        }
        if let State::Closed { recorded, .. } = &mut self.state {
            *recorded += 1;
            if self.trips(now) && (outcome.failed || !cfg!(mutant = "success-never-trips")) {
                self.open(now, hint(class), rng);
            }
        }
    }

    fn judge(&mut self, class: Class, latency: Duration) -> Outcome {
        let failed = matches!(class, Class::Transient | Class::Overload { .. });
        if failed {
            self.last_failure = Some(class);
        }
        Outcome { failed, slow: self.settings.slow.is_some_and(|(limit, _)| latency > limit) }
    }

    fn trips(&mut self, now: Instant) -> bool {
        if self.settings.consecutive.is_some_and(|limit| self.streak >= limit) {
            return true;
        }
        let totals = self.window.totals(now);
        #[cfg(not(mutant = "minimum-calls-ignored"))]
        if totals.calls < u64::from(self.settings.minimum_calls) {
            return false;
        }
        self.rates_trip(totals)
    }

    fn rates_trip(&self, totals: Totals) -> bool {
        let Settings { failure_rate, slow, .. } = &self.settings;
        failure_rate.is_some_and(|share| share.reached(totals.failed, totals.calls))
            || slow.is_some_and(|(_, share)| share.reached(totals.slow, totals.calls))
    }

    fn open(&mut self, now: Instant, hint: Option<Duration>, rng: &mut Rng) {
        let in_a_row = if self.was_stable(now) { 0 } else { self.openings };
        self.openings = in_a_row.saturating_add(1);
        let Settings { open_for, open_for_at_most, .. } = self.settings;
        let grown = backoff::exponential(open_for, open_for_at_most, self.openings);
        #[cfg(mutant = "open-time-never-grows")]
        let grown = open_for;
        let lasting = backoff::equal_jitter(grown, rng).max(hint.unwrap_or_default());
        let until = time::later(now, lasting.min(open_for_at_most));
        self.enter(now, State::Open { until });
    }

    /// Whether the circuit has been closed for a whole window.
    fn was_stable(&self, now: Instant) -> bool {
        match (&self.state, self.settings.window) {
            (State::Closed { recorded, .. }, Window::Count(size)) => *recorded > u64::from(size),
            #[cfg(mutant = "flapping-forgiven")]
            (State::Closed { .. }, _) => true,
            (State::Closed { .. }, Window::Time(span)) => {
                now.saturating_duration_since(self.since) >= span
            }
            _ => false,
        }
    }

    fn close(&mut self, now: Instant) {
        #[cfg(not(mutant = "window-survives-close"))]
        self.window.clear(now);
        self.streak = 0;
        self.enter(now, State::Closed { recorded: 0, ramping: self.settings.ramp.is_some() });
    }

    fn enter(&mut self, now: Instant, state: State) {
        let from = self.phase();
        if !matches!(state, State::ForcedOpen) {
            self.forced_because = None;
        }
        self.state = state;
        self.since = now;
        self.generation += 1;
        // A reset of a closed circuit begins a new generation, but changes no state.
        if from != self.phase() {
            self.untold.push_back((from, self.phase()));
        }
    }

    /// Takes a probe back; `false` if it was not out.
    fn return_probe(&mut self, id: u32) -> bool {
        match &mut self.state {
            State::HalfOpen(probes) => probes.take_back(id),
            _ => false,
        }
    }
}

/// With all probes out, a further call waits for the oldest to be reclaimed: by then there is an
/// answer or a free slot.
fn refusal_of_half_open(probes: &Probes, settings: &Settings, now: Instant) -> Option<Refusal> {
    let full = probes.out() >= settings.probes as usize;
    #[cfg(mutant = "extra-half-open-probe")]
    let full = probes.out() > settings.probes as usize;
    let free = probes.free_at(settings.half_open_for).filter(|_| full)?;
    Some(Refusal { retry_after: Some(free.saturating_duration_since(now)) })
}

/// The share admitted while ramping up, and the time left; `None` once that is over.
fn share_of_ramp(ramp: Option<Duration>, since: Instant, now: Instant) -> Option<(f64, Duration)> {
    let ramp = ramp?;
    let elapsed = now.saturating_duration_since(since);
    let left = ramp.checked_sub(elapsed).filter(|left| !left.is_zero())?;
    Some((1.0 / 8.0 + 7.0 / 8.0 * elapsed.div_duration_f64(ramp), left))
}

fn hint(class: Class) -> Option<Duration> {
    match class {
        Class::Overload { retry_after } => retry_after,
        _ => None,
    }
}
