//! The throttle of a client: who is refused, what counts, and how it ends.

mod counts;
mod recovery;
mod reports;

use std::time::Duration;

use buttress::classify::{ClassifyFn, classify_fn};
use buttress::load_shed::{Throttle, ThrottleBuilder, ThrottleHandle, ThrottleLayer};
use buttress::observe::EventKind;
use buttress::{Class, Reason};
use tokio::time::advance;
use tower::Layer;

use crate::support::{Ask, Fault, Hand, Ledger, Mock, Watch, call, poll_once, refusal};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(120);
/// What the window is divided into.
const SLICE: Duration = Duration::from_millis(3_750);

/// The codes of faults that are more than transient failures.
const WRONG: u32 = 400;
const BUSY: u32 = 503;
/// The classifier panics.
const HOPELESS: u32 = 666;

type Judge = ClassifyFn<fn(Result<&u32, &Fault>) -> Class>;

fn judge(outcome: Result<&u32, &Fault>) -> Class {
    match outcome {
        Ok(_) => Class::Success,
        Err(Fault::Rejected(refusal)) if refusal.reason() != Reason::TimedOut => Class::Ignore,
        Err(Fault::Broken(WRONG)) => Class::Permanent,
        Err(Fault::Broken(BUSY)) => Class::Overload { retry_after: None },
        Err(Fault::Broken(HOPELESS)) => panic!("as the test wants: in the classifier"),
        Err(_) => Class::Transient,
    }
}

/// A throttle without a floor over a mock, and whoever watches.
struct Rig {
    layer: ThrottleLayer<Judge>,
    service: Throttle<Mock, Judge>,
    handle: ThrottleHandle,
    watch: Watch,
    ledger: Ledger,
}

impl Rig {
    fn new() -> Self {
        Self::with(|builder| builder)
    }

    fn with(set: impl FnOnce(ThrottleBuilder<Judge>) -> ThrottleBuilder<Judge>) -> Self {
        let (ledger, mock) = (Ledger::default(), Mock::new());
        let judge: fn(Result<&u32, &Fault>) -> Class = judge;
        let builder = ThrottleLayer::builder().classify(classify_fn(judge)).floor(0.0).seed(7);
        let layer = set(builder).observe(ledger.clone()).build();
        let handle = layer.handle();
        Self { watch: mock.watch(), service: layer.layer(mock), handle, layer, ledger }
    }

    /// A call, and whether it reached the service.
    async fn reaches(&mut self, ask: Ask) -> bool {
        let before = self.sent();
        let _ = call(&mut self.service, ask).await;
        self.sent() > before
    }

    /// So many calls that nobody refuses.
    async fn send(&mut self, ask: Ask, times: usize) {
        for _ in 0..times {
            assert!(self.reaches(ask).await);
        }
    }

    /// So many calls, of which most are refused here.
    async fn overload(&mut self, times: usize) {
        for _ in 0..times {
            self.reaches(Ask::Fail(BUSY)).await;
        }
    }

    fn sent(&self) -> usize {
        self.watch.called().len()
    }

    fn counts(&self) -> (u64, u64) {
        (self.handle.requests(), self.handle.accepts())
    }

    /// The formula of the book, by what the handle says of the counts.
    #[allow(clippy::cast_precision_loss)]
    fn expected(&self, k: f64) -> f64 {
        let (requests, accepts) = self.counts();
        f64::max(0.0, (requests as f64 - k * accepts as f64) / (requests as f64 + 1.0))
    }

    fn told(&self) -> Vec<EventKind> {
        self.ledger.take("throttle")
    }
}

#[tokio::test(start_paused = true)]
async fn refuses_locally_with_the_probability_of_the_formula() {
    for k in [1.0, 1.1, 2.0, 5.0] {
        let mut rig = Rig::with(|builder| builder.multiplier(k));
        let (mut expected, mut refused) = (0.0, 0.0);
        for n in 0..20_000 {
            assert!((rig.handle.probability() - rig.expected(k)).abs() < 1e-12);
            expected += rig.expected(k);
            let ask = if n % 10 == 0 { Ask::Answer(1) } else { Ask::Fail(BUSY) };
            refused += f64::from(u8::from(!rig.reaches(ask).await));
        }
        // Draws of at most a quarter's variance each: five deviations are 354.
        assert!((refused - expected).abs() < 354.0, "{refused}, not {expected}");
        assert_eq!(refused > 1_000.0, k < 5.0 || expected > 1_000.0);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_refused_while_half_of_all_is_accepted() {
    let mut rig = Rig::new();
    for _ in 0..5_000 {
        assert!(rig.reaches(Ask::Answer(1)).await);
        assert!(rig.reaches(Ask::Fail(BUSY)).await, "with K = 2: requests = 2 x accepts");
    }
    assert_eq!(rig.counts(), (10_000, 5_000));
    rig.send(Ask::Fail(BUSY), 1).await;
    assert!(rig.handle.probability() > 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_overloaded_and_was_not_dispatched() {
    let mut rig = Rig::with(|builder| builder.name("search"));
    rig.overload(20).await;
    let (sent, refused) = loop {
        let sent = rig.sent();
        let outcome = call(&mut rig.service, Ask::Fail(BUSY)).await;
        if rig.sent() == sent {
            break (sent, refusal(outcome));
        }
    };
    assert_eq!((refused.reason(), refused.was_dispatched()), (Reason::Overloaded, false));
    assert_eq!((refused.name(), refused.retry_after()), (Some("search"), None));
    assert_eq!(rig.sent(), sent);
}

#[tokio::test(start_paused = true)]
async fn readiness_is_the_inner_services_and_a_refusal_leaves_it_to_the_next_call() {
    let mut rig = Rig::new();
    rig.overload(20).await;
    while rig.reaches(Ask::Fail(BUSY)).await {}
    // The mock gives no new grant from here on: the calls live on the one that is left.
    rig.watch.stall();
    while !rig.reaches(Ask::Answer(1)).await {}
    assert!(Hand::new().poll_ready::<_, Ask>(&mut rig.service).is_pending());
}

#[tokio::test(start_paused = true)]
async fn a_seed_repeats_its_refusals() {
    let run = async |seed: u64| {
        let mut rig = Rig::with(|builder| builder.seed(seed));
        let mut sent = Vec::new();
        for _ in 0..200 {
            sent.push(rig.reaches(Ask::Fail(BUSY)).await);
        }
        sent
    };
    assert_eq!(run(1).await, run(1).await);
    assert_ne!(run(1).await, run(2).await);
}
