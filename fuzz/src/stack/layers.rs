//! [`Layers`]: a random stack, and the handles of its layers.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use buttress::bulkhead::{self, BulkheadLayer, QueueOrder};
use buttress::circuit_breaker::{self, CircuitBreakerLayer, Window};
use buttress::classify_fn;
use buttress::hedge::{Delay, HedgeLayer};
use buttress::retry::{Backoff, Budget, RetryLayer};
use buttress::timeout::{
    DeadlineLayer, FromRequest, Handle as Detached, PropagateDeadlineLayer, TimeoutLayer,
};
use tokio::time::sleep;
use tower::util::BoxCloneService;
use tower::{Layer, Service};

use super::books::{Books, Sums};
use super::policy::{Again, class_of};
use super::service::World;
use super::tap::Tap;
use super::{Call, Failure, Stack, ms};
use crate::bytes::Bytes;

/// A stack, and what is known of its layers, the innermost first.
pub(super) struct Layers {
    pub(super) stack: Stack,
    known: Vec<Known>,
}

struct Known {
    kind: &'static str,
    calls: Arc<AtomicUsize>,
    books: Books,
    handle: Handle,
}

enum Handle {
    None,
    Bulkhead(bulkhead::Handle),
    Breaker(circuit_breaker::Handle),
    Detached(Detached),
}

/// What a layer is made of.
struct Plan<'a, 'b> {
    bytes: &'a mut Bytes<'b>,
    books: Books,
    /// Shared by all that send more than once, or each has its own.
    budget: Option<Budget>,
    inner: Stack,
}

/// A layer over the stack so far.
struct Made {
    kind: &'static str,
    stack: Stack,
    handle: Handle,
    /// It may say that a call was sent that was not: one that waits further in, for one.
    guesses: bool,
    /// It makes other instances ready, and answers with the error of one that is not to be had:
    /// whoever gets that cannot know that the call was not sent.
    hides: bool,
}

impl Layers {
    pub(super) fn new(bytes: &mut Bytes<'_>, world: &World, most: usize) -> Self {
        let count = bytes.below(most + 1);
        let budget = bytes.flag().then(|| budget(bytes));
        let mut stack: Stack = BoxCloneService::new(world.service());
        let (mut known, mut exact) = (Vec::new(), true);
        for _ in 0..count {
            let (books, calls) = (Books::default(), Arc::default());
            let plan = Plan { bytes, books: books.clone(), budget: budget.clone(), inner: stack };
            let made = plan.make();
            exact &= !made.guesses;
            stack = BoxCloneService::new(Tap::new(made.stack, world, &calls, exact));
            exact &= !made.hides;
            known.push(Known { kind: made.kind, calls, books, handle: made.handle });
        }
        Self { stack, known }
    }

    /// Everybody who came into a layer has gone, and none holds a call.
    pub(super) fn assert_at_rest(&self, world: &World) {
        assert_eq!(world.in_flight(), 0, "calls in the service");
        for layer in &self.known {
            let calls = layer.calls.load(Ordering::Relaxed);
            let sums = Sums { in_flight: 0, queued: 0, ended: calls };
            assert_eq!(layer.books.sums(), sums, "{self:?}");
            match &layer.handle {
                Handle::Bulkhead(handle) => {
                    assert_eq!((handle.in_flight(), handle.queued()), (0, 0));
                }
                Handle::Detached(handle) => {
                    assert_eq!((handle.running(), handle.panicked()), (0, 0));
                }
                Handle::Breaker(_) | Handle::None => {}
            }
        }
    }

    pub(super) async fn operate(&self, operation: Operation) {
        sleep(operation.after).await;
        let Some(number) = operation.layer.checked_rem(self.known.len()) else { return };
        match (&self.known[number].handle, operation.action) {
            (Handle::Bulkhead(handle), 0) => {
                // For a while: nobody else would ever serve those that wait.
                handle.resize(0);
                sleep(operation.after).await;
                handle.resize(1);
            }
            (Handle::Bulkhead(handle), limit) => handle.resize(limit),
            (Handle::Breaker(handle), 0) => handle.force_open("fuzz"),
            (Handle::Breaker(handle), 1) => handle.disable(),
            (Handle::Breaker(handle), 2) => handle.auto(),
            (Handle::Breaker(handle), 3) => handle.reset(),
            (Handle::Breaker(handle), _) => {
                let snapshot = handle.snapshot();
                handle.hydrate(&snapshot);
            }
            _ => {}
        }
    }

    /// Takes back whatever an operator, or a configuration, has closed.
    pub(super) fn release(&self) {
        for layer in &self.known {
            match &layer.handle {
                Handle::Bulkhead(handle) => handle.resize(1),
                Handle::Breaker(handle) => handle.auto(),
                Handle::Detached(_) | Handle::None => {}
            }
        }
    }
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layer = |known: &Known| (known.kind, known.books.sums(), known.calls.clone());
        f.debug_list().entries(self.known.iter().rev().map(layer)).finish()
    }
}

/// What an operator does.
pub(super) struct Operation {
    after: Duration,
    layer: usize,
    action: usize,
}

impl Operation {
    pub(super) fn new(bytes: &mut Bytes<'_>) -> Self {
        Self { after: ms(bytes.number(5_000)), layer: bytes.below(8), action: bytes.below(5) }
    }
}

impl Plan<'_, '_> {
    fn make(self) -> Made {
        match self.bytes.below(9) {
            0 => self.retry(),
            1 => self.hedge(),
            2 => self.breaker(),
            3 => self.bulkhead(),
            4 => self.queue(),
            5 => self.timeout(),
            6 => self.detach(),
            7 => self.deadline(),
            _ => self.propagate(),
        }
    }

    fn over<L>(inner: Stack, kind: &'static str, layer: &L, handle: Handle) -> Made
    where
        L: Layer<Stack>,
        L::Service: Service<Call, Response = (), Error = Failure> + Clone + Send + 'static,
        <L::Service as Service<Call>>::Future: Send,
    {
        let stack = BoxCloneService::new(layer.layer(inner));
        Made { kind, stack, handle, guesses: false, hides: false }
    }

    fn retry(self) -> Made {
        let Self { bytes, books, budget: shared, inner } = self;
        let (base, attempts) = (ms(bytes.number(1_000)), 1 + u32::from(bytes.byte() % 5));
        let policy = Again::new(bytes);
        let layer = RetryLayer::builder(policy)
            .max_attempts(attempts)
            .backoff(Backoff::exponential(base, base * 8))
            .min_attempt(ms(bytes.number(50)))
            .budget(shared.unwrap_or_else(|| budget(bytes)))
            .seed(1)
            .observe(books)
            .build();
        Made { hides: true, ..Self::over(inner, "retry", &layer, Handle::None) }
    }

    fn hedge(self) -> Made {
        let Self { bytes, books, budget: shared, inner } = self;
        let delay = if bytes.byte() % 8 == 7 {
            Delay::Percentile(0.5)
        } else {
            Delay::Fixed(ms(1 + bytes.number(2_000)))
        };
        let layer = HedgeLayer::builder(Again::new(bytes))
            .delay(delay)
            .budget(shared.unwrap_or_else(|| budget(bytes)))
            .observe(books)
            .build();
        Made { hides: true, ..Self::over(inner, "hedge", &layer, Handle::None) }
    }

    fn breaker(self) -> Made {
        let Self { bytes, books, inner, .. } = self;
        let set = bytes.byte();
        let mut layer = CircuitBreakerLayer::builder()
            .open_for(ms(1 + bytes.number(5_000)))
            .probes(1 + u32::from(bytes.byte() % 3))
            .close_after(1 + u32::from(bytes.byte() % 3))
            .minimum_calls(1 + u32::from(bytes.byte() % 4));
        if set & 1 != 0 {
            layer = layer.consecutive_failures(1 + u32::from(bytes.byte() % 4));
        }
        if set & 2 != 0 {
            layer = layer.failure_rate(0.5).window(Window::count(1 + u32::from(bytes.byte() % 8)));
        }
        if set & 4 != 0 {
            layer = layer.slow_calls(ms(1 + bytes.number(1_000)), 0.5);
        }
        if set & 8 != 0 {
            layer = layer.ramp(ms(1 + bytes.number(10_000)));
        }
        if set & 16 != 0 {
            layer = layer.gate();
        }
        if set & 32 != 0 {
            layer = layer.shadow();
        }
        if set & 64 != 0 {
            layer = layer.half_open_for(ms(1 + bytes.number(5_000)));
        }
        let layer = layer.classify(classify_fn(class_of)).seed(1).observe(books).build();
        let handle = Handle::Breaker(layer.handle());
        Self::over(inner, "circuit_breaker", &layer, handle)
    }

    fn bulkhead(self) -> Made {
        let Self { bytes, books, inner, .. } = self;
        let mut layer = BulkheadLayer::builder(bytes.below(4)).observe(books);
        if bytes.flag() {
            layer = layer.shadow();
        }
        let layer = layer.build();
        let handle = Handle::Bulkhead(layer.handle());
        Self::over(inner, "bulkhead", &layer, handle)
    }

    fn queue(self) -> Made {
        let Self { bytes, books, inner, .. } = self;
        let set = bytes.byte();
        let mut layer = BulkheadLayer::builder(bytes.below(4))
            .queue(bytes.below(4))
            .order(bytes.pick(&[QueueOrder::Fifo, QueueOrder::Lifo, QueueOrder::Adaptive]))
            .deadline(FromRequest)
            .observe(books);
        if set & 1 != 0 {
            layer = layer.max_wait(ms(1 + bytes.number(1_000)));
        }
        if set & 2 != 0 {
            let layer =
                layer.partition(|call: &Call| call.body().len().is_multiple_of(2), [(true, 0.5)]);
            let layer = layer.build();
            let handle = Handle::Bulkhead(layer.handle());
            return Made { hides: true, ..Self::over(inner, "partitions", &layer, handle) };
        }
        let layer = layer.build();
        let handle = Handle::Bulkhead(layer.handle());
        Made { hides: true, ..Self::over(inner, "queue", &layer, handle) }
    }

    fn timeout(self) -> Made {
        let Self { bytes, books, inner, .. } = self;
        let set = bytes.byte();
        let mut layer =
            TimeoutLayer::builder(ms(1 + bytes.number(5_000))).deadline(FromRequest).observe(books);
        if set & 1 != 0 {
            layer = layer.also_readiness();
        }
        if set & 2 != 0 {
            layer = layer.shadow();
        }
        let made = if set & 4 != 0 {
            Self::over(inner, "timeout", &layer.last_attempt_unbounded().build(), Handle::None)
        } else {
            Self::over(inner, "timeout", &layer.build(), Handle::None)
        };
        Made { guesses: true, ..made }
    }

    fn detach(self) -> Made {
        let Self { bytes, books, inner, .. } = self;
        let layer = TimeoutLayer::builder(ms(1 + bytes.number(5_000)))
            .detach(1 + bytes.below(3))
            .observe(books)
            .build();
        let handle = Handle::Detached(layer.handle());
        Made { guesses: true, ..Self::over(inner, "detach", &layer, handle) }
    }

    fn deadline(self) -> Made {
        let Self { bytes, books, inner, .. } = self;
        let mut layer = DeadlineLayer::builder().observe(books);
        let set = bytes.byte();
        if set & 1 != 0 {
            // More than all the margins that there may be: a call that comes alone has to pass.
            layer = layer.at_most(ms(3_000 + bytes.number(3_000)));
        }
        if set & 2 != 0 {
            layer = layer.shadow();
        }
        Made { guesses: true, ..Self::over(inner, "deadline", &layer.build(), Handle::None) }
    }

    fn propagate(self) -> Made {
        let Self { bytes, books, inner, .. } = self;
        let mut layer =
            PropagateDeadlineLayer::builder().margin(ms(bytes.number(500))).observe(books);
        if bytes.flag() {
            layer = layer.shadow();
        }
        Self::over(inner, "propagate", &layer.build(), Handle::None)
    }
}

fn budget(bytes: &mut Bytes<'_>) -> Budget {
    match bytes.below(4) {
        0 => Budget::ratio(1.0).at_least(10),
        1 => Budget::ratio(0.2).at_least(0),
        2 => Budget::in_flight(0.5).at_least(1),
        _ => Budget::tokens(4, 0.5),
    }
}
