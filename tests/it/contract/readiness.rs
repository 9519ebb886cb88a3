//! Clauses about `poll_ready`.

use std::task::Poll;

use tower::{Layer, Service};

use super::outcomes::Subject;
use crate::support::{Ask, Fault, Hand, Ledger, Mock, call, ready};

pub(crate) fn calls_the_very_instance_that_was_made_ready<L>(build: impl Fn(Ledger) -> L)
where
    L: Layer<Mock, Service: Subject>,
{
    let mock = Mock::new();
    let (watch, id) = (mock.watch(), mock.id());
    let mut service = build(Ledger::default()).layer(mock);
    ready(&mut service);
    let others = [service.clone(), service.clone()];
    // The mock panics if this reaches an instance without a grant.
    drop(service.call(Ask::Answer(1)));
    assert_eq!((watch.readied(), watch.called()), (vec![id], vec![id]));

    let mut readied = watch.readied().len();
    for mut other in others {
        drop(call(&mut other, Ask::Answer(1)));
        readied += 1;
        assert_eq!(watch.readied().len(), readied, "each call has a readiness of its own");
        assert_eq!(watch.called().last(), watch.readied().last());
    }
}

pub(crate) fn a_grant_survives_repeated_poll_ready<L>(build: impl Fn(Ledger) -> L)
where
    L: Layer<Mock, Service: Subject>,
{
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = build(Ledger::default()).layer(mock);
    for _ in 0..3 {
        ready(&mut service);
    }
    // From here on no instance gets a grant: the first one has to have been kept.
    watch.stall();
    ready(&mut service);
    drop(service.call(Ask::Answer(1)));
    assert_eq!(watch.called().len(), 1);
    assert!(Hand::new().poll_ready(&mut service).is_pending(), "a call uses its grant up");
}

pub(crate) fn pending_is_forwarded_with_a_waker_that_wakes<L>(build: impl Fn(Ledger) -> L)
where
    L: Layer<Mock, Service: Subject>,
{
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = build(Ledger::default()).layer(mock);
    let (first, last) = (Hand::new(), Hand::new());
    watch.stall();
    assert!(first.poll_ready(&mut service).is_pending());
    assert!(last.poll_ready(&mut service).is_pending());
    assert_eq!(last.woken(), 0);
    watch.unstall();
    assert!(last.woken() > 0, "whoever polled last is woken");
    ready(&mut service);
    drop(service.call(Ask::Answer(1)));
}

pub(crate) fn errors_of_poll_ready_pass_untouched<L>(build: impl Fn(Ledger) -> L)
where
    L: Layer<Mock, Service: Subject>,
{
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = build(Ledger::default()).layer(mock);
    watch.fail_readiness(7);
    let Poll::Ready(Err(error)) = Hand::new().poll_ready(&mut service) else {
        panic!("the inner service failed to become ready");
    };
    assert_eq!(error.into(), Fault::Broken(7));
}

pub(crate) fn clones_never_share_readiness<L>(build: impl Fn(Ledger) -> L)
where
    L: Layer<Mock, Service: Subject>,
{
    let mock = Mock::new();
    let watch = mock.watch();
    let mut service = build(Ledger::default()).layer(mock);
    ready(&mut service);
    let mut clone = service.clone();
    watch.stall();
    assert!(Hand::new().poll_ready(&mut clone).is_pending(), "a clone starts without a grant");
    ready(&mut service);
    drop(service.call(Ask::Answer(1)));
    watch.unstall();
    drop(call(&mut clone, Ask::Answer(1)));
    let called = watch.called();
    assert_ne!(called[0], called[1]);
}
