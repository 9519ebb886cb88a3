//! [`Circuit`]: the machine behind its lock, with the one word that most calls need.

use std::fmt;
use std::time::Duration;

use crate::circuit_breaker::state::Machine;
use crate::circuit_breaker::tally::Tally;
use crate::circuit_breaker::ticket::{Reception, Refusal, Role, Ticket};
use crate::circuit_breaker::wakers::Wakers;
use crate::circuit_breaker::{Phase, Snapshot};
use crate::classify::Class;
use crate::observe::{Emitter, EventKind, Stage};
use crate::rejected::{Reason, Rejected};
use crate::rng::Rng;
use crate::sync::{AtomicU64, Mutex, Ordering, lock};
use crate::time::{self, Instant};

/// What all services of one layer value share.
///
/// `word` mirrors the machine: the generation, the phase, and whether every call passes. It is
/// written under the lock and read without it. A call that is admitted by a word that is stale by
/// then carries that word's generation, so its result is late, as it would be had it been admitted
/// an instant earlier.
///
/// It also says whether successes are [routine](Machine::is_routine). These stay out of the lock:
/// where the window needs them they are counted in the tally, else nowhere. Whoever takes the lock
/// withdraws that first and then collects what was counted until then, so that no success is
/// counted behind the back of a decision.
pub(super) struct Circuit {
    word: AtomicU64,
    /// While the circuit is open, until when: in nanoseconds since `origin`.
    open_until: AtomicU64,
    origin: Instant,
    tally: Tally,
    core: Mutex<Core>,
    wakers: Wakers,
    emitter: Emitter,
    options: Options,
}

struct Core {
    machine: Machine,
    rng: Rng,
    /// A thread is telling the observers of a transition.
    telling: bool,
}

/// What the calls need to know of the settings.
#[allow(clippy::struct_excessive_bools)] // Four independent switches, each read by name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) shadow: bool,
    pub(super) gate: bool,
    /// Somebody needs the latency of calls.
    pub(super) timed: bool,
    /// A call that took longer than this is slow.
    pub(super) slow: Option<Duration>,
    /// Whether routine successes are counted: see `Settings::keeps_window`.
    pub(super) counts: bool,
}

const PHASE_BITS: u64 = 0b0111;
const ADMITS_ALL: u64 = 0b0_1000;
const ROUTINE: u64 = 0b1_0000;
const GENERATION_SHIFT: u32 = 5;

impl Circuit {
    pub(super) fn new(machine: Machine, rng: Rng, emitter: Emitter, options: Options) -> Self {
        let origin = machine.since();
        Self {
            open_until: AtomicU64::new(0),
            origin,
            word: AtomicU64::new(word_of(&machine)),
            tally: Tally::new(),
            core: Mutex::new(Core { machine, rng, telling: false }),
            wakers: Wakers::default(),
            emitter,
            options,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        let index = self.word.load(Ordering::Acquire) & PHASE_BITS;
        Phase::ALL.into_iter().find(|phase| *phase as u64 == index).unwrap_or(Phase::Closed)
    }

    #[inline(always)]
    pub(super) fn admits_all(&self) -> bool {
        self.word.load(Ordering::Acquire) & ADMITS_ALL != 0
    }

    pub(super) fn is_gate(&self) -> bool {
        self.options.gate
    }

    pub(super) fn wakers(&self) -> &Wakers {
        &self.wakers
    }

    /// Lets a call through, or refuses it, and tells the observers.
    #[inline(always)]
    pub(super) fn admit(&self) -> Result<CallTicket, Rejected> {
        let word = self.word.load(Ordering::Acquire);
        if word & ADMITS_ALL == 0 {
            return self.admit_some(word);
        }
        let ticket = Ticket { generation: word >> GENERATION_SHIFT, role: Role::Call };
        Ok(self.begin(ticket))
    }

    #[cold]
    fn admit_some(&self, word: u64) -> Result<CallTicket, Rejected> {
        if let Some(refusal) = self.refusal_at_sight().filter(|_| !self.options.shadow) {
            return Err(self.refuse(refusal));
        }
        let now = time::now();
        let ticket = match self.with(|core| core.machine.admit(now, &mut core.rng)) {
            Ok(ticket) => ticket,
            Err(_) if self.options.shadow => {
                let kind = EventKind::WouldReject(Reason::CircuitOpen);
                self.emitter.emit(Stage::Arriving, kind);
                Ticket { generation: word >> GENERATION_SHIFT, role: Role::Bystander }
            }
            Err(refusal) => return Err(self.refuse(refusal)),
        };
        Ok(self.begin(ticket))
    }

    /// The refusal of a call that `poll_ready` has already turned away.
    pub(super) fn refuse_again(&self) -> Rejected {
        let refusal = self.refusal_at_sight().or_else(|| self.refusal());
        self.refuse(refusal.unwrap_or(Refusal { retry_after: Some(Duration::ZERO) }))
    }

    /// Whether a call would be refused now.
    pub(super) fn refuses(&self) -> bool {
        !self.options.shadow && (self.refusal_at_sight().is_some() || self.refusal().is_some())
    }

    fn refusal(&self) -> Option<Refusal> {
        let now = time::now();
        self.with(|core| core.machine.refusal(now, &mut core.rng))
    }

    /// The refusal of an open circuit, without its lock: there may be very many.
    fn refusal_at_sight(&self) -> Option<Refusal> {
        let word = self.word.load(Ordering::Acquire);
        if is_in(word, Phase::ForcedOpen) {
            return Some(Refusal { retry_after: None });
        }
        let until = self.open_until.load(Ordering::Acquire);
        // Read between two looks at the same word, it is of that word.
        if !is_in(word, Phase::Open) || self.word.load(Ordering::Acquire) != word {
            return None;
        }
        let left = until.checked_sub(self.nanos(time::now())).filter(|left| *left > 0)?;
        Some(Refusal { retry_after: Some(Duration::from_nanos(left)) })
    }

    fn nanos(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.origin).as_nanos();
        u64::try_from(since).unwrap_or(u64::MAX)
    }

    /// A slot for a probe ahead of its call; `None` where calls need no slot.
    pub(super) fn reserve(&self) -> Result<Option<Ticket>, Refusal> {
        if self.admits_all() || self.options.shadow {
            return Ok(None);
        }
        let now = time::now();
        self.with(|core| core.machine.reserve(now, &mut core.rng))
    }

    /// Starts the call that a slot was reserved for, unless the slot has been reclaimed.
    pub(super) fn redeem(&self, ticket: Ticket) -> Option<CallTicket> {
        let now = time::now();
        let begun = self.with(|core| core.machine.begin(now, ticket, &mut core.rng));
        begun.then(|| self.begin(ticket))
    }

    /// Whether a reserved slot is still kept.
    pub(super) fn keeps(&self, ticket: Ticket) -> bool {
        self.is_current(ticket) && lock(&self.core).machine.is_out(ticket)
    }

    /// Whether nothing has changed since the ticket was given.
    #[inline(always)]
    fn is_current(&self, ticket: Ticket) -> bool {
        self.word.load(Ordering::Acquire) >> GENERATION_SHIFT == ticket.generation
    }

    /// Starts an admitted call.
    #[inline(always)]
    fn begin(&self, ticket: Ticket) -> CallTicket {
        self.emitter.emit(Stage::Arriving, EventKind::Admitted { waited: Duration::ZERO });
        CallTicket { ticket, since: self.options.timed.then(time::now) }
    }

    /// Gives a slot back. Nothing is told: the call may not even have begun.
    pub(super) fn give_back(&self, ticket: Ticket) {
        if let Role::Probe(_) = ticket.role {
            self.with(|core| core.machine.abandon(ticket));
            self.wakers.wake_all();
        }
    }

    pub(super) fn abandon(&self, call: CallTicket) {
        self.give_back(call.ticket);
        self.emitter.emit(Stage::InFlight, EventKind::Abandoned);
    }

    #[inline(always)]
    pub(super) fn settle(&self, call: CallTicket, class: Class) {
        let success = matches!(class, Class::Success | Class::Permanent);
        if !success || !matches!(call.ticket.role, Role::Call) {
            return self.settle_in_machine(call, class, None);
        }
        if self.options.counts {
            return self.settle_success(call, class);
        }
        if !self.is_routine(call.ticket) {
            return self.settle_in_machine(call, class, None);
        }
        if let Some(since) = call.since {
            self.emitter.settled(since, class);
        }
    }

    /// A success that the window needs.
    fn settle_success(&self, call: CallTicket, class: Class) {
        let CallTicket { ticket, since } = call;
        let now = time::now();
        let latency = latency(since, now);
        let slow = self.options.slow.is_some_and(|limit| latency > limit);
        if slow || !self.tally.add(ticket.generation, now, || self.is_routine(ticket)) {
            self.settle_in_machine(call, class, Some(now));
        } else {
            self.emitter.emit(Stage::InFlight, EventKind::Settled { class, latency });
        }
    }

    #[cold]
    fn settle_in_machine(&self, call: CallTicket, class: Class, now: Option<Instant>) {
        let CallTicket { ticket, since } = call;
        let now = now.unwrap_or_else(time::now);
        let latency = latency(since, now);
        let reception = self.with(|core| {
            let reception = core.machine.settle(now, ticket, class, latency, &mut core.rng);
            self.tally.renew(core.machine.place());
            reception
        });
        if matches!(ticket.role, Role::Probe(_)) {
            self.wakers.wake_all();
        }
        let kind = match reception {
            Reception::Counted => EventKind::Settled { class, latency },
            Reception::Late => EventKind::LateResult,
        };
        self.emitter.emit(Stage::InFlight, kind);
    }

    /// Whether a success of this ticket is one that the machine need not see.
    #[inline(always)]
    fn is_routine(&self, ticket: Ticket) -> bool {
        let word = self.word.load(Ordering::Acquire);
        word & ROUTINE != 0 && word >> GENERATION_SHIFT == ticket.generation
    }

    #[cold]
    fn refuse(&self, refusal: Refusal) -> Rejected {
        let rejected = self.emitter.refuse(Stage::Arriving, Reason::CircuitOpen);
        match refusal.retry_after {
            Some(wait) => rejected.after(wait),
            None => rejected,
        }
    }

    pub(super) fn force_open(&self, because: String) {
        let now = time::now();
        self.with(|core| core.machine.force_open(now, because));
    }

    pub(super) fn disable(&self) {
        let now = time::now();
        self.with(|core| core.machine.disable(now));
    }

    pub(super) fn auto(&self) {
        let now = time::now();
        self.with(|core| core.machine.auto(now));
    }

    pub(super) fn reset(&self) {
        let now = time::now();
        self.with(|core| core.machine.reset(now));
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let now = time::now();
        self.with(|core| core.machine.snapshot(now))
    }

    pub(super) fn hydrate(&self, snapshot: &Snapshot) {
        let now = time::now();
        self.with(|core| core.machine.hydrate(now, snapshot));
        // Open before and after is no transition, but the time that they wait for may be another.
        self.wakers.wake_all();
    }

    /// Works on the machine under the lock, mirrors what changed, and tells of transitions after
    /// the lock is released.
    fn with<T>(&self, work: impl FnOnce(&mut Core) -> T) -> T {
        let mut core = lock(&self.core);
        self.collect(&mut core.machine);
        let result = work(&mut core);
        if let Some(until) = core.machine.open_until() {
            self.open_until.store(self.nanos(until), Ordering::Release);
        }
        self.word.store(word_of(&core.machine), Ordering::Release);
        let changed = core.machine.has_untold();
        drop(core);
        if changed {
            self.tell();
        }
        result
    }

    /// Shows the machine the successes that were counted apart, after which no more are.
    fn collect(&self, machine: &mut Machine) {
        let routine = self.word.load(Ordering::Relaxed) & ROUTINE != 0;
        if routine && self.options.counts {
            self.word.fetch_and(!ROUTINE, Ordering::AcqRel);
            self.tally.collect(|slot, calls| machine.count_routine(slot, calls));
        }
    }

    /// Tells of transitions in the order in which they happened, whichever threads made them:
    /// one thread tells at a time, and whoever finds one at it leaves it the rest.
    #[cold]
    fn tell(&self) {
        self.wakers.wake_all();
        while let Some((from, to)) = self.next_to_tell() {
            let told = Told(self);
            self.emitter.emit(Stage::Arriving, EventKind::Transitioned { from, to });
            drop(told);
        }
    }

    fn next_to_tell(&self) -> Option<(Phase, Phase)> {
        let mut core = lock(&self.core);
        if core.telling {
            return None;
        }
        let next = core.machine.next_untold();
        core.telling = next.is_some();
        next
    }
}

/// Ends the telling of one transition, also when an observer panics.
struct Told<'a>(&'a Circuit);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        lock(&self.0.core).telling = false;
    }
}

fn is_in(word: u64, phase: Phase) -> bool {
    word & PHASE_BITS == phase as u64
}

fn word_of(machine: &Machine) -> u64 {
    let admits_all = if machine.admits_all() { ADMITS_ALL } else { 0 };
    let routine = if machine.is_routine() { ROUTINE } else { 0 };
    machine.generation() << GENERATION_SHIFT | routine | admits_all | machine.phase() as u64
}

fn latency(since: Option<Instant>, now: Instant) -> Duration {
    since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
}

impl fmt::Debug for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuit")
            .field("emitter", &self.emitter)
            .field("phase", &self.phase())
            .finish_non_exhaustive()
    }
}

/// A call on its way: what it is judged by, and since when it runs, where anybody needs to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallTicket {
    ticket: Ticket,
    since: Option<Instant>,
}
