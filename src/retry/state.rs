//! What all services of one retry layer share, and the decisions about one call.

use std::fmt;
use std::time::Duration;

use crate::admission::{Admitter, Permit};
use crate::budget::Budget;
use crate::classify::Class;
use crate::error::{Rejectable, may_be_seen};
use crate::observe::{Emitter, EventKind, Stage, Withheld};
use crate::policy::{Attempt, Hint, Policy};
use crate::rejected::{Reason, Rejected};
use crate::retry::session::{Delays, Session};
use crate::rng::Rng;
use crate::sync::anchors::{Anchor, Anchors};
use crate::sync::{Mutex, lock};
use crate::time::{self, Instant};

pub(super) struct Shared<P> {
    pub(super) policy: P,
    pub(super) emitter: Emitter,
    pub(super) budget: Budget,
    pub(super) max_attempts: u32,
    pub(super) delays: Delays,
    pub(super) min_attempt: Duration,
    /// Reached only by calls that have failed.
    pub(super) rng: Mutex<Rng>,
}

impl<P> Shared<P> {
    #[inline(always)]
    pub(super) fn admit(shared: &Anchors<Self>) -> Permit<Anchor<Self>> {
        let since = shared.emitter.is_on().then(time::now);
        shared.budget.enter();
        let permit = Permit::new(shared.mine().clone(), since);
        shared.emitter.emit(Stage::Arriving, EventKind::Admitted { waited: Duration::ZERO });
        permit
    }

    /// What to keep of a request that is about to be sent as this attempt; nothing, if no further
    /// attempt can follow. Tells the request which attempt it is.
    #[inline(always)]
    pub(super) fn keep<Req, T, E>(&self, request: &mut Req, number: u32) -> Option<Req>
    where
        P: Policy<Req, T, E>,
    {
        let kept =
            if number < self.max_attempts { self.policy.clone_request(request) } else { None };
        let of = if kept.is_some() { self.max_attempts } else { number };
        self.policy.mark(request, Attempt::new(number, of));
        kept
    }

    /// Takes note of the end of an attempt, and prepares the next one: `true`, if there is to be
    /// one.
    pub(super) fn goes_on<Req, T, E>(
        &self,
        session: &mut Option<Box<Session>>,
        kept: Option<&Req>,
        outcome: Result<&T, &E>,
        class: Class,
    ) -> bool
    where
        E: Rejectable,
        P: Policy<Req, T, E>,
    {
        self.budget.judged(class);
        if !matches!(class, Class::Transient | Class::Overload { .. }) {
            return false;
        }
        let sent = session.as_mut().is_none_or(|session| session.end_attempt());
        let decision = self.next(session, kept, outcome, class, sent);
        if let Err(why) = decision {
            self.emitter.emit(Stage::InFlight, EventKind::Withheld(why));
        }
        decision.is_ok()
    }

    /// The order is that of the costs, the budget last: nothing is withdrawn in vain.
    #[cold]
    fn next<Req, T, E>(
        &self,
        session: &mut Option<Box<Session>>,
        kept: Option<&Req>,
        outcome: Result<&T, &E>,
        class: Class,
        sent: bool,
    ) -> Result<(), Withheld>
    where
        E: Rejectable,
        P: Policy<Req, T, E>,
    {
        if session.as_ref().map_or(1, |session| session.attempt()) >= self.max_attempts {
            return Err(Withheld::Attempts);
        }
        let kept = kept.ok_or(Withheld::Request)?;
        // What failed to get ready has not been sent: it stays as fit as it was.
        if sent && !self.policy.may_resend(kept, outcome) {
            return Err(Withheld::Request);
        }
        let hint = self.policy.hint(outcome, class);
        if hint == Hint::Stop {
            return Err(Withheld::Stopped);
        }
        // Boxed only when it is kept: a call that is given up at once allocates nothing.
        let mut first = None;
        let current = match session.as_deref_mut() {
            Some(session) => session,
            None => first.insert(Session::new(&self.delays)),
        };
        let delay = self.delay(current, hint, class).ok_or(Withheld::Attempts)?;
        let at = time::later(time::now(), delay);
        let deadline = self.policy.deadline(kept);
        // Nor at the deadline itself, though it needs no time at all.
        let too_late = |end: Instant| end <= at || end < time::later(at, self.min_attempt);
        #[cfg(mutant = "attempt-at-the-deadline")]
        let too_late = |end: Instant| end < time::later(at, self.min_attempt);
        if deadline.is_some_and(|deadline| too_late(deadline.instant())) {
            return Err(Withheld::Deadline);
        }
        let withdrawal = self.emitter.withdraw(&self.budget);
        if sent && may_be_seen(outcome) {
            current.note_seen();
        }
        current.begin_attempt(withdrawal.ok_or(Withheld::Budget)?, delay, at, deadline);
        if let Some(first) = first {
            *session = Some(Box::new(first));
        }
        Ok(())
    }

    /// How long to wait; `None` where the delays have come to their end.
    fn delay(&self, session: &mut Session, hint: Hint, class: Class) -> Option<Duration> {
        if let Hint::Exactly(wait) = hint {
            session.start_over(&self.delays);
            return Some(wait);
        }
        let own = session.next_delay(&self.delays, class, &self.rng)?;
        Some(match hint {
            #[cfg(mutant = "hint-cut-short")]
            Hint::AtLeast(wait) => own.delay.min(wait),
            // Up to a tenth later, so that clients with the same hint do not return together.
            Hint::AtLeast(wait) if wait >= own.floor && !wait.is_zero() => {
                wait.saturating_add(lock(&self.rng).between(Duration::ZERO, wait / 10))
            }
            _ => own.delay,
        })
    }

    /// The end of a call whose next attempt did not get ready before the deadline. `seen`, if the
    /// service may have seen one of those before it.
    pub(super) fn too_late(permit: &mut Permit<Anchor<Self>>, seen: bool) -> Rejected {
        let rejected = match permit.release() {
            Some((shared, _)) => {
                shared.budget.leave();
                shared.emitter.refuse(Stage::InFlight, Reason::DeadlineExceeded)
            }
            None => Rejected::new(Reason::DeadlineExceeded),
        };
        rejected.dispatched(seen)
    }
}

impl<P> Admitter for Shared<P> {
    /// Since when the call runs, where anybody wants to know.
    type Ticket = Option<Instant>;

    #[inline(always)]
    fn settle(&self, since: Option<Instant>, class: Class) {
        self.budget.leave();
        if let Some(since) = since {
            self.emitter.settled(since, class);
        }
    }

    fn abandon(&self, _: Option<Instant>) {
        self.budget.leave();
        self.emitter.emit(Stage::InFlight, EventKind::Abandoned);
    }
}

impl<P> fmt::Debug for Shared<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("emitter", &self.emitter)
            .field("max_attempts", &self.max_attempts)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
