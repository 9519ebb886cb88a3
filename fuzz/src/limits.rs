//! Adaptive limits: the layer, on a paused clock, and the algorithms alone, through calls of any
//! number that take anything from no time to sixty days and end in any way.
//!
//! The limit is a number in its range at every moment. A call is let in exactly if fewer are in
//! flight than the limit says, and as many are in flight as were let in and have not ended.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use buttress::adaptive_limit::{
    AdaptiveLimitLayer, Admitted, Aimd, Algorithm, Cohort, Ended, Gradient, Outcome, Range, Vegas,
};
use buttress::{Class, Error, Reason, Rejectable, Rejected, classify_fn};
use tokio::time::{Instant, advance};
use tower::{Layer, Service, service_fn};

use crate::bytes::Bytes;
use crate::support::{paused, ready};

/// As many as a limit needs to learn something, and no more than take a moment.
const LONGEST: usize = 400;
const SIXTY_DAYS: u64 = 60 * 86_400 * 1_000_000_000;

pub(crate) fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let (which, alone) = (bytes.below(4), bytes.flag());
    match which {
        0 => play(Cohort::new(), alone, bytes),
        1 => play(Aimd::new(), alone, bytes),
        2 => play(Vegas::new(), alone, bytes),
        _ => play(Gradient::new(), alone, bytes),
    }
}

fn play<A: Algorithm + 'static>(algorithm: A, alone: bool, mut bytes: Bytes<'_>) {
    let bounds = Bounds::new(&mut bytes);
    let watched = Watched { algorithm, bounds };
    if alone {
        by_itself(watched, bytes);
    } else {
        paused().block_on(in_a_layer(watched, bytes));
    }
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    min: usize,
    max: usize,
    initial: Option<usize>,
}

impl Bounds {
    fn new(bytes: &mut Bytes<'_>) -> Self {
        let min = 1 + size(bytes, 20);
        let max = min + size(bytes, 2_000);
        let initial = bytes.flag().then(|| min + size(bytes, 2_000) % (max - min + 1));
        Self { min, max, initial }
    }
}

fn size(bytes: &mut Bytes<'_>, end: u64) -> usize {
    usize::try_from(bytes.number(end)).expect("a small number")
}

fn nanos(bytes: &mut Bytes<'_>) -> Duration {
    Duration::from_nanos(bytes.number(SIXTY_DAYS + 1))
}

/// An algorithm whose limit is looked at whenever it may have moved.
struct Watched<A> {
    algorithm: A,
    bounds: Bounds,
}

impl<A: Algorithm> Watched<A> {
    fn assert_in_range(&self) {
        #[allow(clippy::cast_precision_loss)]
        let (min, max) = (self.bounds.min as f64, self.bounds.max as f64);
        let limit = self.algorithm.limit();
        assert!(limit >= min && limit <= max, "{limit} is not in {:?}", self.bounds);
    }
}

impl<A: Algorithm> Algorithm for Watched<A> {
    fn begin(&mut self, range: Range) {
        self.algorithm.begin(range);
        self.assert_in_range();
    }

    fn limit(&self) -> f64 {
        self.assert_in_range();
        self.algorithm.limit()
    }

    fn admitted(&mut self, call: &Admitted) -> Option<u64> {
        let mark = self.algorithm.admitted(call);
        self.assert_in_range();
        mark
    }

    fn ended(&mut self, call: &Ended) {
        self.algorithm.ended(call);
        self.assert_in_range();
    }

    fn skip(&self) -> u32 {
        self.algorithm.skip()
    }
}

/// What happens next. One byte stands for many calls, since it takes many to move a limit.
enum Op {
    Enter(usize),
    End(usize, usize, Ending),
    Abandon(usize),
    Wait(Duration),
}

#[derive(Clone, Copy, Debug)]
enum Ending {
    Answered,
    Refused,
    TimedOut,
    Overloaded,
    Failed,
    Ignored,
}

impl Op {
    fn next(bytes: &mut Bytes<'_>) -> Option<Self> {
        use Ending::{Answered, Failed, Ignored, Overloaded, Refused, TimedOut};
        let byte = bytes.next()?;
        let nth = usize::from(byte >> 3);
        Some(match byte & 7 {
            0 | 1 => Self::Enter(1 + nth * nth),
            2 => Self::End(1 + nth * nth, 0, Answered),
            3 => {
                let endings = [Answered, Refused, TimedOut, Overloaded, Failed, Ignored];
                let ending = bytes.pick(&endings);
                Self::End(1 + nth, bytes.below(256), ending)
            }
            4 => Self::Abandon(nth),
            5 => Self::Wait(Duration::from_millis(1 << (nth % 16))),
            6 => Self::Wait(Duration::from_micros(nth as u64)),
            _ => Self::Wait(nanos(bytes)),
        })
    }
}

type Failure = Error<Class>;
type Result = std::result::Result<(), Failure>;

/// How a call in the service ends, once it does.
type Fate = Rc<Cell<Option<Ending>>>;

type Call = Pin<Box<dyn Future<Output = Result>>>;

struct Running {
    call: Call,
    fate: Fate,
}

async fn in_a_layer<A: Algorithm + 'static>(watched: Watched<A>, mut bytes: Bytes<'_>) {
    let Bounds { min, max, initial } = watched.bounds;
    let class = classify_fn(|outcome: std::result::Result<&(), &Failure>| match outcome {
        Ok(()) => Class::Success,
        Err(Error::Service(class)) => *class,
        Err(Error::Rejected(_)) => Class::Transient,
    });
    let builder = AdaptiveLimitLayer::builder().algorithm(watched).classify(class);
    let builder = builder.min(min).max(max);
    let layer =
        if let Some(initial) = initial { builder.initial(initial) } else { builder }.build();
    let handle = layer.handle();
    let mut service = layer.layer(service_fn(|fate: Fate| {
        poll_fn(move |_| fate.take().map_or(Poll::Pending, |ending| Poll::Ready(outcome(ending))))
    }));

    let mut running: Vec<Running> = Vec::new();
    let ops = std::iter::from_fn(|| Op::next(&mut bytes)).take(LONGEST);
    for op in ops.collect::<Vec<_>>() {
        match op {
            Op::Enter(calls) => {
                for _ in 0..calls {
                    let room = running.len() < handle.limit();
                    let fate = Fate::default();
                    let mut call: Call = Box::pin(ready(&mut service).call(Rc::clone(&fate)));
                    match poll(&mut call) {
                        Poll::Pending => {
                            assert!(room, "let in beyond the limit");
                            running.push(Running { call, fate });
                        }
                        Poll::Ready(outcome) => {
                            let reason = outcome.as_ref().err().and_then(Rejectable::rejected);
                            let reason = reason.map(Rejected::reason);
                            assert_eq!((reason, room), (Some(Reason::LimitReached), false));
                        }
                    }
                }
            }
            Op::End(calls, nth, ending) => {
                for _ in 0..calls.min(running.len()) {
                    let mut ended = running.remove(nth % running.len());
                    ended.fate.set(Some(ending));
                    assert!(poll(&mut ended.call).is_ready(), "it has its answer");
                }
            }
            Op::Abandon(nth) if !running.is_empty() => {
                drop(running.swap_remove(nth % running.len()));
            }
            Op::Abandon(_) => {}
            Op::Wait(time) => advance(time).await,
        }
        assert_eq!(handle.in_flight(), running.len());
        assert!((min..=max).contains(&handle.limit()));
    }
    running.clear();
    assert_eq!(handle.in_flight(), 0, "calls that nobody makes");
}

fn poll(call: &mut Call) -> Poll<Result> {
    call.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn outcome(ending: Ending) -> Result {
    Err(match ending {
        Ending::Answered => return Ok(()),
        Ending::TimedOut => Error::Rejected(Rejected::new(Reason::TimedOut)),
        Ending::Refused => Error::Service(Class::Permanent),
        Ending::Overloaded => Error::Service(Class::Overload { retry_after: None }),
        Ending::Failed => Error::Service(Class::Transient),
        Ending::Ignored => Error::Service(Class::Ignore),
    })
}

/// Without a layer: latencies that no clock has seen, and time that stands still.
fn by_itself<A: Algorithm>(mut watched: Watched<A>, mut bytes: Bytes<'_>) {
    let Bounds { min, max, initial } = watched.bounds;
    let mut range = Range::new(min, max);
    range.initial = initial;
    watched.begin(range);
    let (mut now, mut out) = (Instant::now(), Vec::new());
    let ops = std::iter::from_fn(|| Op::next(&mut bytes).map(|op| (op, nanos(&mut bytes))));
    for (op, latency) in ops.take(LONGEST).collect::<Vec<_>>() {
        match op {
            Op::Enter(calls) => {
                for _ in 0..calls {
                    out.extend(watched.admitted(&Admitted::new(now, out.len() + 1)));
                }
            }
            Op::End(calls, nth, ending) => {
                for _ in 0..calls.min(out.len()) {
                    let mark = out.swap_remove(nth % out.len());
                    let mut ended = Ended::new(now, latency, told(ending));
                    (ended.mark, ended.in_flight, ended.pressed) = (mark, out.len(), nth % 2 == 0);
                    watched.ended(&ended);
                }
            }
            // Nobody ever hears of it again.
            Op::Abandon(nth) if !out.is_empty() => _ = out.swap_remove(nth % out.len()),
            Op::Abandon(_) => {}
            Op::Wait(time) => now += time,
        }
    }
}

fn told(ending: Ending) -> Outcome {
    match ending {
        Ending::Answered | Ending::Refused => Outcome::Answered,
        Ending::TimedOut => Outcome::TimedOut,
        Ending::Overloaded => Outcome::Overloaded,
        Ending::Failed | Ending::Ignored => Outcome::Unknown,
    }
}
