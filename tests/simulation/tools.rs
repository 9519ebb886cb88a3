//! What scenarios about state look through: draws, invariants that find things out by themselves,
//! services to put below and above a layer.

use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use buttress::circuit_breaker::Phase;
use buttress::observe::EventKind;
use buttress::sim::{Failure, Report, Request, Response, World};
use buttress::{Error, Reason};
use futures::FutureExt;
use tokio::time::Instant;
use tower::{Service, ServiceExt, service_fn};

use crate::stacks::{Stacked, ms};

/// Draws by seed (`SplitMix64`). Clones draw from the same row.
#[derive(Clone, Debug)]
pub(crate) struct Dice(Arc<AtomicU64>);

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seed)))
    }

    /// For a part of a run.
    pub(crate) fn of(world: &World<'_>, name: &str) -> Self {
        Self::new(world.seed(name))
    }

    /// Less than `end`.
    pub(crate) fn below(&self, end: u64) -> u64 {
        let state = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    /// Yes in so many of a hundred.
    pub(crate) fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn within(&self, range: Range<u64>) -> u64 {
        range.start + self.below(range.end - range.start)
    }

    pub(crate) fn millis(&self, range: Range<u64>) -> Duration {
        ms(self.within(range))
    }

    pub(crate) fn size(&self, range: Range<u64>) -> usize {
        usize::try_from(self.within(range)).unwrap()
    }

    pub(crate) fn count(&self, range: Range<u64>) -> u32 {
        u32::try_from(self.within(range)).unwrap()
    }

    pub(crate) fn one_of<T: Copy>(&self, of: &[T]) -> T {
        of[self.size(0..of.len() as u64)]
    }
}

/// An invariant that is found broken where something happens, and not by a look from outside. The
/// first finding ends the run.
#[derive(Clone, Debug)]
pub(crate) struct Finding(Arc<Mutex<Option<String>>>);

impl Finding {
    pub(crate) fn of(world: &mut World<'_>, invariant: &str) -> Self {
        let found = Self(Arc::default());
        let look = found.clone();
        world.always(invariant, move || match &*locked(&look.0) {
            None => Ok(()),
            Some(says) => Err(says.clone()),
        });
        found
    }

    pub(crate) fn ensure(&self, holds: bool, says: impl FnOnce() -> String) {
        if !holds {
            locked(&self.0).get_or_insert_with(says);
        }
    }
}

/// What a mutex guards, also after a panic that was part of the run.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does something when it is dropped.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// The time of the run in progress, for tests that measure it themselves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch(Instant);

impl Watch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn at(self) -> Duration {
        self.0.elapsed()
    }

    pub(crate) fn since(self, earlier: Duration) -> Duration {
        self.at().saturating_sub(earlier)
    }
}

/// A panic that no panic hook prints: thousands are part of a run.
pub(crate) fn panic_quietly() -> ! {
    std::panic::resume_unwind(Box::new("planted"))
}

/// Catches the panics of a stack, as servers do: a client sees a failure.
pub(crate) fn catching(stack: impl Stacked) -> impl Stacked {
    service_fn(move |request: Request| {
        let call = AssertUnwindSafe(stack.clone().oneshot(request)).catch_unwind();
        async move { call.await.unwrap_or(Err(Error::Service(Failure::Failed))) }
    })
}

/// Calls a service that is always ready.
pub(crate) fn send<S>(
    service: &S,
    request: Request,
) -> impl Future<Output = Result<Response, Failure>> + Send + use<S>
where
    S: Service<Request, Response = Response, Error = Failure, Future: Send> + Clone,
{
    service.clone().call(request)
}

pub(crate) fn is_opening(kind: &EventKind) -> bool {
    matches!(kind, EventKind::Transitioned { to: Phase::Open, .. })
}

pub(crate) fn is_refusal(kind: &EventKind) -> bool {
    matches!(kind, EventKind::Rejected(Reason::CircuitOpen))
}

pub(crate) fn openings(report: &Report, name: &str) -> u64 {
    report.events_of(name, is_opening)
}
