//! Deadlines on the wire and timeouts of bodies: nothing for requests that need none themselves.

use std::any::Any;
use std::future::{Ready, ready};
use std::mem::{size_of, size_of_val};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use allocation_counter::measure;
use buttress::observe::Event;
use buttress::retry::Attempt;
use buttress::timeout::{
    Carrier, Deadline, DeadlineLayer, Extended, PropagateDeadlineLayer, TimeoutLayer,
};
use tower::{Layer, Service, service_fn};

use super::{Fault, SECOND, WARM};

/// A request with room for one header.
#[derive(Clone, Copy, Default)]
struct Note {
    header: Option<[u8; 9]>,
    deadline: Option<Deadline>,
    attempt: Option<Attempt>,
}

impl Extended for Note {
    fn extension<T: Clone + Send + Sync + 'static>(&self) -> Option<&T> {
        let deadline = self.deadline.as_ref().and_then(|it| (it as &dyn Any).downcast_ref());
        deadline.or_else(|| (self.attempt.as_ref()? as &dyn Any).downcast_ref())
    }
}

impl Carrier for Note {
    fn header(&self, _: &str) -> Option<&[u8]> {
        self.header.as_ref().map(<[u8; 9]>::as_slice)
    }

    fn set_header(&mut self, _: &str, value: &str) {
        let mut header = [b'0'; 9];
        header[9 - value.len()..].copy_from_slice(value.as_bytes());
        self.header = Some(header);
    }

    fn insert_extension<T: Clone + Send + Sync + 'static>(&mut self, value: T) {
        self.deadline = (&value as &dyn Any).downcast_ref().copied();
    }
}

fn inner(note: Note) -> Ready<Result<Note, Fault>> {
    ready(Ok(note))
}

/// Allocations of 100 calls, after a warm start.
fn allocations<L>(layer: &L, note: Note, succeeds: bool) -> u64
where
    L: Layer<tower::util::ServiceFn<fn(Note) -> Ready<Result<Note, Fault>>>>,
    L::Service: Service<Note, Response = Note, Error = Fault>,
{
    let mut service = layer.layer(service_fn(inner as fn(Note) -> _));
    let mut call = || {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(service.poll_ready(&mut cx).is_ready());
        let Poll::Ready(outcome) = pin!(service.call(note)).poll(&mut cx) else {
            panic!("the inner service is ready at once");
        };
        assert_eq!(outcome.is_ok(), succeeds);
    };
    (0..WARM).for_each(|_| call());
    measure(|| (0..100).for_each(|_| call())).count_total
}

#[test]
fn a_call_with_a_deadline_allocates_nothing() {
    let log = |_: &Event<'_>| {};
    let plain = Note::default();
    let late = Note { deadline: Some(Deadline::after(Duration::ZERO)), ..plain };
    let early = Note { deadline: Some(Deadline::after(60 * SECOND)), ..plain };
    let said = Note { header: Some(*b"00000009S"), ..plain };
    let wrong = Note { header: Some(*b"+0000009S"), ..plain };
    let last = Note { attempt: Some(Attempt::new(2, 2)), ..plain };
    let reading = DeadlineLayer::builder().observe(log).build();
    let capped = DeadlineLayer::builder().at_most(SECOND).build();
    let telling = PropagateDeadlineLayer::builder().observe(log).build();
    let attempts = TimeoutLayer::builder(SECOND).last_attempt_unbounded().build();
    for note in [plain, early, said, wrong] {
        assert_eq!(allocations(&reading, note, true), 0);
        assert_eq!(allocations(&capped, note, true), 0);
        assert_eq!(allocations(&telling, note, true), 0);
    }
    assert_eq!(allocations(&attempts, last, true), 0);
    assert_eq!(allocations(&reading, late, false), 0);
    assert_eq!(allocations(&telling, late, false), 0);
}

#[test]
fn the_futures_are_as_small_as_documented() {
    let base = || service_fn(inner);
    let alone = size_of_val(&base().call(Note::default()));
    let deadline = size_of_val(&DeadlineLayer::new().layer(base()).call(Note::default())) - alone;
    let telling =
        size_of_val(&PropagateDeadlineLayer::new().layer(base()).call(Note::default())) - alone;
    assert!(deadline <= 144, "deadline: {deadline}");
    assert!(telling <= 32, "propagate: {telling}");
}

#[cfg(feature = "http")]
#[tokio::test(start_paused = true)]
async fn a_frame_allocates_nothing_whether_it_is_waited_for_or_not() {
    use buttress::http::{BodyTimeoutLayer, TimeoutBody};
    use bytes::Bytes;
    use http::{Request, Response};
    use http_body::{Body, Frame};

    /// Every other poll is pending.
    #[derive(Default)]
    struct Slow(bool);

    impl Body for Slow {
        type Data = Bytes;
        type Error = std::fmt::Error;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            self.0 = !self.0;
            if self.0 { Poll::Pending } else { Poll::Ready(Some(Ok(Frame::data(Bytes::new())))) }
        }
    }

    let layer = BodyTimeoutLayer::builder().idle(SECOND).total(60 * SECOND).build();
    let mut service = layer
        .layer(service_fn(async |_: Request<()>| Ok::<_, Fault>(Response::new(Slow::default()))));
    let response = service.call(Request::new(())).await.unwrap();
    let mut body = pin!(response.into_body());
    let mut cx = Context::from_waker(Waker::noop());
    let mut poll = || body.as_mut().poll_frame(&mut cx).is_ready();
    let mut read = |frames: usize| (0..2 * frames).filter(|_| poll()).count();
    assert_eq!(read(10), 10);
    assert_eq!(measure(|| assert_eq!(read(100), 100)).count_total, 0);

    let over = size_of::<TimeoutBody<Slow>>() - size_of::<Slow>();
    assert!(over <= 264, "body: {over}");
    let base = || service_fn(|_: Request<()>| ready(Ok::<_, Fault>(Response::new(Slow(false)))));
    let alone = size_of_val(&base().call(Request::new(())));
    let future = size_of_val(&layer.layer(base()).call(Request::new(()))) - alone;
    assert!(future <= 72, "future: {future}");
}
