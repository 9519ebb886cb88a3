//! Clauses about calls: what comes through, what is let go, what is told.

use std::fmt::Debug;
use std::time::Duration;

use buttress::observe::EventKind;
use buttress::{Reason, Rejected};
use tower::{Layer, Service};

use crate::support::{Ask, Fault, Hand, Ledger, Mock, call, panics, poll_once, ready};

/// A layer's service over the mock, whatever it makes of the error type.
pub(crate) trait Subject:
    Service<Ask, Response = u32, Error: Into<Fault> + Debug> + Clone
{
}

impl<S> Subject for S where S: Service<Ask, Response = u32, Error: Into<Fault> + Debug> + Clone {}

const SOON: Duration = Duration::from_millis(20);

pub(crate) async fn errors_and_answers_pass_untouched<L>(build: impl Fn(Ledger) -> L)
where
    L: Layer<Mock, Service: Subject>,
{
    let refusal = |reason| Fault::Rejected(Rejected::new(reason).named("inner"));
    let cases = [
        (Ask::Answer(11), Ok(11)),
        (Ask::After(SOON, 12), Ok(12)),
        (Ask::Pend(13), Ok(13)),
        (Ask::Fail(14), Err(Fault::Broken(14))),
        (Ask::FailAfter(SOON, 15), Err(Fault::Broken(15))),
        (Ask::Refuse(Reason::BulkheadFull), Err(refusal(Reason::BulkheadFull))),
        (Ask::Refuse(Reason::TimedOut), Err(refusal(Reason::TimedOut))),
    ];
    let mut service = build(Ledger::default()).layer(Mock::new());
    for (ask, outcome) in cases {
        let answer = call(&mut service, ask).await.map_err(Into::into);
        assert_eq!(answer, outcome, "{ask:?}");
    }
}

pub(crate) fn pending_is_forwarded_with_a_waker_that_wakes<L>(build: impl Fn(Ledger) -> L)
where
    L: Layer<Mock, Service: Subject>,
{
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = build(Ledger::default()).layer(mock);
    let (first, last) = (Hand::new(), Hand::new());
    let mut future = call(&mut service, Ask::Hold);
    assert!(first.poll(&mut future).is_pending());
    assert!(last.poll(&mut future).is_pending());
    assert_eq!(last.woken(), 0);
    watch.let_go();
    assert!(last.woken() > 0, "whoever polled last is woken");
    assert!(last.poll(&mut future).is_ready());
}

pub(crate) fn dropping_the_service_or_the_future_releases<L>(build: impl Fn(Ledger) -> L)
where
    L: Layer<Mock, Service: Subject>,
{
    let (ledger, mock) = (Ledger::default(), Mock::new());
    let watch = mock.watch();
    let layer = build(ledger.clone());
    let mut service = layer.layer(mock);
    let unpolled = call(&mut service, Ask::Hold);
    let mut polled = call(&mut service, Ask::Hold);
    assert!(poll_once(&mut polled).is_pending());
    drop(unpolled);
    assert_eq!(watch.replies(), 1);
    drop(polled);
    assert_eq!(watch.replies(), 0, "a dropped future lets go of the inner one");
    ledger.assert_settled();

    // A service goes with its grant, and a future outlives its service.
    let mut other = service.clone();
    ready(&mut other);
    drop(other);
    let mut last = call(&mut service, Ask::Hold);
    assert!(poll_once(&mut last).is_pending());
    drop(service);
    assert!(poll_once(&mut last).is_pending());
    assert_eq!(watch.replies(), 1);
    drop((last, layer));
    assert_eq!((watch.alive(), watch.replies()), (0, 0));
    ledger.assert_settled();
    assert_eq!(ledger.holders(), 1, "nothing keeps the layer's state alive");
}

pub(crate) fn a_drop_at_any_poll_leaves_nothing_behind<L>(build: impl Fn(Ledger) -> L)
where
    L: Layer<Mock, Service: Subject>,
{
    let (ledger, mock) = (Ledger::default(), Mock::new());
    let watch = mock.watch();
    let mut service = build(ledger.clone()).layer(mock);
    for polls in 0..=4 {
        let mut future = call(&mut service, Ask::Pend(4));
        for _ in 0..polls {
            assert!(poll_once(&mut future).is_pending());
        }
        drop(future);
        assert_eq!(watch.replies(), 0, "after {polls} polls");
        ledger.assert_settled();
        assert!(poll_once(&mut call(&mut service, Ask::Answer(1))).is_ready());
    }
}

/// How a call comes to its end.
#[derive(Clone, Copy, Debug)]
enum End {
    Awaited(Ask),
    DroppedUnpolled,
    DroppedPolled(u32),
    Panicked(Ask),
}

pub(crate) async fn one_terminal_event_per_call<L>(build: impl Fn(Ledger) -> L)
where
    L: Layer<Mock, Service: Subject>,
{
    let ends = [
        End::Awaited(Ask::Answer(1)),
        End::Awaited(Ask::After(SOON, 1)),
        End::Awaited(Ask::Pend(3)),
        End::Awaited(Ask::Fail(1)),
        End::Awaited(Ask::FailAfter(SOON, 1)),
        End::Awaited(Ask::Refuse(Reason::CircuitOpen)),
        End::Awaited(Ask::Refuse(Reason::TimedOut)),
        End::DroppedUnpolled,
        End::DroppedPolled(1),
        End::DroppedPolled(3),
        End::Panicked(Ask::PanicInCall),
        End::Panicked(Ask::PanicInPoll),
    ];
    for end in ends {
        let ledger = Ledger::default();
        let mut service = build(ledger.clone()).layer(Mock::new());
        // Three at once, so that what is counted is calls and not a flag.
        for _ in 0..3 {
            run(&mut service, end).await;
        }
        let books = ledger.only();
        assert_eq!(books.ended, 3, "{end:?}: {:?}", books.events);
        let admitted = |kind: &&EventKind| matches!(kind, EventKind::Admitted { .. });
        assert_eq!(books.kinds().iter().filter(admitted).count(), 3, "{end:?}");
        ledger.assert_settled();
    }
}

async fn run<S: Subject>(service: &mut S, end: End) {
    match end {
        End::Awaited(ask) => drop(call(service, ask).await),
        End::DroppedUnpolled => drop(call(service, Ask::Answer(1))),
        End::DroppedPolled(times) => {
            let hand = Hand::new();
            let mut future = call(service, Ask::Hold);
            for _ in 0..times {
                assert!(hand.poll(&mut future).is_pending());
            }
        }
        End::Panicked(ask) => {
            let text = panics(|| drop(poll_once(&mut call(service, ask))));
            assert!(text.starts_with("as the test wants"), "{text}");
        }
    }
}
