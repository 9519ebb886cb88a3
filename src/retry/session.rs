//! [`Session`]: a call whose first attempt has failed, and its delays.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::backoff::{Backoff, Drawn, Steps};
use crate::budget::Withdrawal;
use crate::classify::Class;
use crate::deadline::Deadline;
use crate::observe::EventKind;
use crate::rng::Rng;
use crate::sync::{Mutex, lock};
use crate::time::{self, Instant, Sleep};

/// What a call needs for its further attempts.
pub(super) struct Session {
    /// The attempts so far, the one that is being prepared included.
    attempt: u32,
    sequence: Sequence,
    /// How long the attempt was held back.
    delay: Duration,
    deadline: Option<Deadline>,
    /// What the attempt was paid with. Dropped before the attempt was sent, it goes back.
    withdrawal: Option<Withdrawal>,
    is_sent: bool,
    /// The service may have seen one of the attempts that were followed by another.
    seen: bool,
    // Boxed, as the session itself is: a call that is not retried should carry neither.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Session {
    pub(super) fn new(delays: &Delays) -> Self {
        Self {
            attempt: 1,
            sequence: delays.sequence(),
            delay: Duration::ZERO,
            deadline: None,
            withdrawal: None,
            is_sent: true,
            seen: false,
            timer: None,
        }
    }

    pub(super) fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The delays start from the beginning.
    pub(super) fn start_over(&mut self, delays: &Delays) {
        self.sequence = delays.sequence();
    }

    pub(super) fn next_delay(
        &mut self,
        delays: &Delays,
        class: Class,
        rng: &Mutex<Rng>,
    ) -> Option<Drawn> {
        let sequence = &mut self.sequence;
        match (delays, class) {
            // Foreign code: no lock is held.
            (Delays::Custom(_), _) => {
                let delay = sequence.custom.as_mut()?.next()?;
                Some(Drawn { floor: delay, delay })
            }
            (Delays::Backoff { overload, .. }, Class::Overload { .. }) => {
                Some(overload.next(&mut sequence.overload, &mut lock(rng)))
            }
            (Delays::Backoff { transient, .. }, _) => {
                Some(transient.next(&mut sequence.transient, &mut lock(rng)))
            }
        }
    }

    /// Prepares an attempt that is held back until then.
    pub(super) fn begin_attempt(
        &mut self,
        withdrawal: Withdrawal,
        delay: Duration,
        at: Instant,
        deadline: Option<Deadline>,
    ) {
        self.attempt += 1;
        self.delay = delay;
        self.deadline = deadline;
        self.withdrawal = Some(withdrawal);
        self.is_sent = false;
        // Boxed: see the field.
        self.timer = (!delay.is_zero()).then(|| Box::pin(time::sleep_until(at)));
    }

    /// The attempt is on its way.
    pub(super) fn send_attempt(&mut self) -> EventKind {
        self.is_sent = true;
        self.timer = None;
        if let Some(withdrawal) = &mut self.withdrawal {
            withdrawal.sent();
        }
        EventKind::Retried { attempt: self.attempt, delay: self.delay }
    }

    /// The attempt has ended, or failed to get ready. Whether it was sent.
    pub(super) fn end_attempt(&mut self) -> bool {
        self.withdrawal = None;
        self.is_sent
    }

    /// Takes note of an attempt that the service may have seen.
    pub(super) fn note_seen(&mut self) {
        self.seen = true;
    }

    pub(super) fn was_seen(&self) -> bool {
        self.seen
    }

    /// Ready when the attempt need not be held back any longer.
    pub(super) fn poll_held_back(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let held_back =
            self.timer.as_mut().map_or(Poll::Ready(()), |timer| timer.as_mut().poll(cx));
        if held_back.is_ready() {
            self.timer = None;
        }
        held_back
    }

    /// Ready when the deadline has passed: polled while the inner service gets ready.
    pub(super) fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else { return Poll::Pending };
        // Boxed: see the field.
        let timer =
            self.timer.get_or_insert_with(|| Box::pin(time::sleep_until(deadline.instant())));
        timer.as_mut().poll(cx)
    }

    /// Whether it is too late for the attempt: timers and busy threads are late at times.
    pub(super) fn is_late(&self) -> bool {
        self.deadline.is_some_and(Deadline::has_passed)
    }
}

/// How far the delays of one call have come.
#[derive(Default)]
struct Sequence {
    transient: Steps,
    overload: Steps,
    custom: Option<CustomDelays>,
}

/// Where the delays come from.
pub(super) enum Delays {
    Backoff { transient: Backoff, overload: Backoff },
    Custom(MakeDelays),
}

// Boxed, so that the layer needs no type parameter for them: made once for a call that has failed.
pub(super) type CustomDelays = Box<dyn Iterator<Item = Duration> + Send + Sync>;
pub(super) type MakeDelays = Box<dyn Fn() -> CustomDelays + Send + Sync>;

impl Delays {
    /// `backoff` for most failures, and from `overload_base` on where the service asked for less,
    /// as far as the cap allows.
    pub(super) fn from_backoff(backoff: Backoff, overload_base: Duration) -> Self {
        let base = backoff.base.max(overload_base);
        Self::Backoff { transient: backoff, overload: Backoff { base, ..backoff } }
    }

    fn sequence(&self) -> Sequence {
        match self {
            Self::Backoff { .. } => Sequence::default(),
            Self::Custom(make) => Sequence { custom: Some(make()), ..Sequence::default() },
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("attempt", &self.attempt).finish_non_exhaustive()
    }
}
