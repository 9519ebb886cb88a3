//! [`Shared`]: what all services of one hedge layer share, and the decisions about one call.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::admission::{Admitter, Permit};
use crate::budget::{Budget, Withdrawal};
use crate::classify::Class;
use crate::deadline::Deadline;
use crate::error::Rejectable;
use crate::hedge::pace::Pace;
use crate::observe::{Emitter, EventKind, Stage, Withheld};
use crate::policy::{Attempt, Hint, Policy};
use crate::sync::anchors::{Anchor, Anchors};
use crate::time::{self, Instant};

pub(super) struct Shared<P> {
    pub(super) policy: P,
    pub(super) emitter: Emitter,
    pub(super) budget: Budget,
    pub(super) pace: Arc<Pace>,
}

/// The beginnings of a call.
#[derive(Debug)]
pub(super) struct Ticket {
    /// Of the call: read if there are observers, for what they are told alone. A future that was
    /// not polled for long must not look like an attempt that takes long.
    admitted: Option<Instant>,
    /// Of the first attempt: read when it is first found pending.
    began: Option<Instant>,
}

impl Ticket {
    pub(super) fn since(&mut self) -> Instant {
        *self.began.get_or_insert_with(time::now)
    }
}

impl<P> Shared<P> {
    #[inline(always)]
    pub(super) fn admit(shared: &Anchors<Self>) -> Permit<Anchor<Self>> {
        let observed = shared.emitter.is_on();
        shared.budget.enter();
        let ticket = Ticket { admitted: observed.then(time::now), began: None };
        let permit = Permit::new(shared.mine().clone(), ticket);
        if observed {
            shared.emitter.emit(Stage::Arriving, EventKind::Admitted { waited: Duration::ZERO });
        }
        permit
    }

    /// What to keep of a request for a second attempt; nothing, if there cannot be one. Tells the
    /// request that it is the first.
    #[inline(always)]
    pub(super) fn keep<Req, T, E>(&self, request: &mut Req) -> Option<Req>
    where
        P: Policy<Req, T, E>,
    {
        self.policy.prepare(request);
        let may_follow = self.pace.is_warm() && self.policy.may_hedge(request);
        let kept = if may_follow { self.policy.clone_request(request) } else { None };
        let of = if kept.is_some() { 2 } else { 1 };
        self.policy.mark(request, Attempt::new(1, of));
        kept
    }

    /// Takes note of the end of an attempt.
    #[inline(always)]
    pub(super) fn judge<Req, T, E>(&self, outcome: Result<&T, &E>) -> Class
    where
        E: Rejectable,
        P: Policy<Req, T, E>,
    {
        let class = self.policy.classify(outcome);
        self.budget.judged(class);
        class
    }

    /// Whether a second attempt may be sent at once, after this outcome of the first.
    #[cold]
    pub(super) fn may_follow<Req, T, E>(
        &self,
        kept: &Req,
        outcome: Result<&T, &E>,
        class: Class,
    ) -> bool
    where
        E: Rejectable,
        P: Policy<Req, T, E>,
    {
        let overload = match class {
            Class::Transient => false,
            Class::Overload { .. } => true,
            Class::Success | Class::Permanent | Class::Ignore => return false,
        };
        if !self.policy.may_resend(kept, outcome) {
            self.withhold(Withheld::Request);
            return false;
        }
        let at_once = match self.policy.hint(outcome, class) {
            // Who asked for less does not get more at once, unless it says so.
            Hint::None => !overload,
            Hint::AtLeast(wait) | Hint::Exactly(wait) => wait.is_zero(),
            Hint::Stop => false,
        };
        if !at_once {
            self.withhold(Withheld::Stopped);
        }
        at_once
    }

    /// Pays for a second attempt whose time has come.
    #[cold]
    pub(super) fn pay(&self, deadline: Option<Deadline>) -> Option<Withdrawal> {
        if deadline.is_some_and(Deadline::has_passed) {
            self.withhold(Withheld::Deadline);
            return None;
        }
        let withdrawal = self.emitter.withdraw(&self.budget);
        if withdrawal.is_none() {
            self.withhold(Withheld::Budget);
        }
        withdrawal
    }

    pub(super) fn withhold(&self, why: Withheld) {
        self.emitter.emit(Stage::InFlight, EventKind::Withheld(why));
    }

    /// The first attempt ended, and the call goes on without it.
    pub(super) fn first_is_over(&self, ticket: &Ticket, class: Class) {
        match ticket.began {
            None => self.record_zero(class),
            Some(since) => self.record(time::now(), since, class),
        }
    }

    /// The call ended, and the first attempt with it, unless that is over already. Reads the clock
    /// once, for the percentile and for the observers.
    pub(super) fn end(&self, ticket: &Ticket, class: Class, first_ran: bool) {
        self.budget.leave();
        let measured = ticket.began.filter(|_| first_ran && self.pace.measures());
        if first_ran && ticket.began.is_none() {
            self.record_zero(class);
        }
        if measured.is_none() && ticket.admitted.is_none() {
            return;
        }
        let now = time::now();
        if let Some(since) = measured {
            self.record(now, since, class);
        }
        if let Some(since) = ticket.admitted {
            let latency = now.saturating_duration_since(since);
            self.emitter.emit(Stage::InFlight, EventKind::Settled { class, latency });
        }
    }

    fn record(&self, now: Instant, since: Instant, class: Class) {
        if counts(class) {
            self.pace.record(now, now.saturating_duration_since(since));
        }
    }

    /// As [`record`](Self::record), of an attempt that was ready when first polled.
    #[inline(always)]
    fn record_zero(&self, class: Class) {
        if counts(class) {
            self.pace.record_zero();
        }
    }
}

/// What was refused on this side says nothing about how long the service takes.
fn counts(class: Class) -> bool {
    class != Class::Ignore
}

impl<P> Admitter for Shared<P> {
    type Ticket = Ticket;

    #[inline(always)]
    fn settle(&self, ticket: Ticket, class: Class) {
        if ticket.admitted.is_some() || ticket.began.is_some() {
            return self.end(&ticket, class, true);
        }
        // Ready when first polled, and not observed: the short way.
        self.budget.leave();
        self.record_zero(class);
    }

    #[cold]
    fn abandon(&self, _: Ticket) {
        self.budget.leave();
        self.emitter.emit(Stage::InFlight, EventKind::Abandoned);
    }
}

impl<P> fmt::Debug for Shared<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("emitter", &self.emitter)
            .field("pace", &self.pace)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
