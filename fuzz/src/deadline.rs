//! The time left in a header, in both directions: what is read, against the grammar, and what is
//! written, read again.
//!
//! An input is a byte of choices, the numbers that they ask for, and the header's value.

use std::time::Duration;

use buttress::timeout::{Deadline, DeadlineLayer, PropagateDeadlineLayer};
use buttress::{BoxError, Reason, Rejected};
use http::{HeaderValue, Request};
use tower::{Layer, Service, service_fn};

use crate::bytes::Bytes;
use crate::support::{now, paused, ready};

type Outcome = Result<Request<()>, Rejected>;

struct Input {
    /// Of a header that is not gRPC's own, and may do without a unit.
    plain: bool,
    twice: bool,
    at_most: Option<Duration>,
    /// In the request's extensions.
    found: Option<Duration>,
    margin: Duration,
    value: HeaderValue,
}

impl Input {
    fn new(data: &[u8]) -> Option<Self> {
        let mut bytes = Bytes::new(data);
        let set = bytes.byte();
        let mut time = || Duration::from_nanos(bytes.number(u64::MAX));
        let at_most = (set & 4 != 0).then(|| time().max(Duration::from_nanos(1)));
        let found = (set & 8 != 0).then(&mut time);
        // A few nanoseconds decide: whether anything is left, and how it is rounded.
        let margin = if set & 16 != 0 { time() } else { Duration::ZERO };
        let value = HeaderValue::from_bytes(bytes.rest()).ok()?;
        let (plain, twice) = (set & 1 != 0, set & 2 != 0);
        Some(Self { plain, twice, at_most, found, margin, value })
    }

    fn name(&self) -> &'static str {
        if self.plain { "x-time-left" } else { "grpc-timeout" }
    }

    fn request(&self) -> Request<()> {
        let mut request = Request::new(());
        for _ in 0..=usize::from(self.twice) {
            request.headers_mut().append(self.name(), self.value.clone());
        }
        if let Some(found) = self.found {
            request.extensions_mut().insert(Deadline::after(found));
        }
        request
    }

    /// What the header means.
    fn said(&self) -> Option<Duration> {
        if self.twice { None } else { meaning(self.value.as_bytes(), self.plain) }
    }
}

/// By the grammar: 1 to 8 digits and a unit; no unit is a number of milliseconds.
fn meaning(text: &[u8], plain: bool) -> Option<Duration> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let nanos: u64 = match &text[digits.len()..] {
        "H" => 3_600_000_000_000,
        "M" => 60_000_000_000,
        "S" => 1_000_000_000,
        "m" => 1_000_000,
        "" if plain => 1_000_000,
        "u" => 1_000,
        "n" => 1,
        _ => return None,
    };
    let good = (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u32 = if good { digits.parse().ok()? } else { return None };
    Some(Duration::from_nanos(nanos) * number)
}

pub(crate) fn run(data: &[u8]) {
    thread_local! {
        static CLOCK: tokio::runtime::Runtime = paused();
    }
    let Some(input) = Input::new(data) else { return };
    CLOCK.with(|clock| {
        let _paused = clock.enter();
        arrive(&input);
        pass_on(&input);
    });
}

/// The request, as the service further in gets it.
fn call<L>(layer: &L, request: Request<()>) -> Outcome
where
    L: Layer<Echo>,
    L::Service: Service<Request<()>, Response = Request<()>, Error = BoxError>,
{
    let mut service = layer.layer(service_fn(|request| std::future::ready(Ok(request))));
    now(ready(&mut service).call(request))
        .map_err(|error| Rejected::find(&*error).expect("nobody else fails").clone())
}

type Echo =
    tower::util::ServiceFn<fn(Request<()>) -> std::future::Ready<Result<Request<()>, BoxError>>>;

fn arrive(input: &Input) {
    let mut layer = DeadlineLayer::builder().header(input.name());
    if let Some(at_most) = input.at_most {
        layer = layer.at_most(at_most);
    }
    let layer = layer.build();
    let outcome = call(&layer, input.request());

    let said = input.said();
    assert_eq!(layer.handle().malformed(), u64::from(said.is_none()));
    let left = said.into_iter().chain(input.at_most).chain(input.found).min();
    check_refusal(&outcome, left);
    if let Ok(request) = outcome {
        let deadline: Option<&Deadline> = request.extensions().get();
        assert_eq!(deadline.map(|deadline| deadline.remaining()), left);
    }
}

/// Refused, without having been sent, if and only if there is no time left.
fn check_refusal(outcome: &Outcome, left: Option<Duration>) {
    match outcome {
        Ok(_) => assert_ne!(left, Some(Duration::ZERO)),
        Err(rejected) => {
            assert_eq!(left, Some(Duration::ZERO));
            assert_eq!(rejected.reason(), Reason::DeadlineExceeded);
            assert!(!rejected.was_dispatched());
        }
    }
}

fn pass_on(input: &Input) {
    let layer = PropagateDeadlineLayer::builder().margin(input.margin);
    let layer =
        if input.plain { layer.header_millis(input.name()) } else { layer.header(input.name()) };
    let layer = layer.build();
    let outcome = call(&layer, input.request());

    let Some(left) = input.found.map(|found| found.saturating_sub(input.margin)) else {
        assert_eq!(outcome.unwrap().headers()[input.name()], input.value, "no reason to touch it");
        return;
    };
    let unit = Duration::from_millis(1);
    let sayable = if input.plain && left < unit { Duration::ZERO } else { left };
    check_refusal(&outcome, Some(sayable));
    let Ok(request) = outcome else { return };
    let headers = request.headers();
    let written = meaning(headers[input.name()].as_bytes(), input.plain).expect("it can be read");
    if let Some(said) = input.said().filter(|said| *said <= left) {
        assert_eq!((written, &headers[input.name()]), (said, &input.value), "less time is left");
        return;
    }
    assert_eq!(headers.get_all(input.name()).iter().count(), 1);
    assert!(written <= left, "more than {left:?}: {written:?}");
    let lost = left.saturating_sub(written);
    let longest = if input.plain { unit * 99_999_999 } else { Duration::from_hours(99_999_999) };
    let fine = if input.plain { lost < unit } else { lost <= left / 99_999 };
    assert!(fine || left > longest, "{lost:?} of {left:?} are lost");
    // And the server further on makes the same of it.
    let server = call(&DeadlineLayer::builder().header(input.name()).build(), request);
    assert_eq!(
        server.unwrap().extensions().get::<Deadline>().unwrap().remaining(),
        written.min(input.found.unwrap())
    );
}
