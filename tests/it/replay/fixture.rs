//! A body that follows a script, and readers polled by hand.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use buttress::BoxError;
use buttress::http::ReplayBody;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use crate::support::Hand;

/// What the body does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// `Pending`, until [`Line::fire`].
    Wait,
    Data(Bytes),
    Trailers(HeaderMap),
    Fail,
}

/// The far end of a [`Script`].
#[derive(Clone, Debug, Default)]
pub(super) struct Line(Arc<Mutex<Shared>>);

#[derive(Debug, Default)]
struct Shared {
    turns: VecDeque<Turn>,
    waker: Option<Waker>,
}

/// A body that follows a script, and knows its end only by coming to it.
pub(super) struct Script {
    line: Line,
    size: SizeHint,
    says_its_end: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broke;

impl Line {
    pub(super) fn new(turns: impl IntoIterator<Item = Turn>) -> Self {
        let line = Self::default();
        line.0.lock().unwrap().turns.extend(turns);
        line
    }

    pub(super) fn body(&self) -> Script {
        Script { line: self.clone(), size: SizeHint::new(), says_its_end: false }
    }

    /// Ends a wait. Whether there was one.
    pub(super) fn fire(&self) -> bool {
        let mut shared = self.0.lock().unwrap();
        if shared.turns.front() != Some(&Turn::Wait) {
            return false;
        }
        shared.turns.pop_front();
        let waker = shared.waker.take();
        drop(shared);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    pub(super) fn left(&self) -> usize {
        self.0.lock().unwrap().turns.len()
    }

    /// Whether the body still exists.
    pub(super) fn is_held(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

impl Script {
    pub(super) fn sized(self, size: SizeHint) -> Self {
        Self { size, ..self }
    }

    pub(super) fn says_its_end(self) -> Self {
        Self { says_its_end: true, ..self }
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = Broke;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broke>>> {
        let mut shared = self.line.0.lock().unwrap();
        if shared.turns.front() == Some(&Turn::Wait) {
            shared.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(shared.turns.pop_front().map(|turn| match turn {
            Turn::Data(data) => Ok(Frame::data(data)),
            Turn::Trailers(trailers) => Ok(Frame::trailers(trailers)),
            Turn::Fail => Err(Broke),
            Turn::Wait => unreachable!("seen above"),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.says_its_end && self.line.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        self.size
    }
}

impl fmt::Display for Broke {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broke")
    }
}

impl std::error::Error for Broke {}

/// What one poll brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Got {
    Pending,
    Data(Bytes),
    Trailers(HeaderMap),
    End,
    /// The error of the body itself.
    Broke,
    /// It cannot be replayed.
    Refused,
}

pub(super) fn poll<B>(hand: &Hand, body: &mut ReplayBody<B>) -> Got
where
    B: Body,
    B::Error: Into<BoxError>,
{
    match hand.poll(&mut poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx))) {
        Poll::Pending => Got::Pending,
        Poll::Ready(None) => Got::End,
        Poll::Ready(Some(Err(error))) if error.is::<Broke>() => Got::Broke,
        Poll::Ready(Some(Err(error))) => {
            assert!(error.to_string().starts_with("the request body cannot be sent again"));
            Got::Refused
        }
        Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
            Ok(data) => Got::Data(data),
            Err(frame) => Got::Trailers(frame.into_trailers().unwrap()),
        },
    }
}

/// Everything up to the first poll that brings no frame.
pub(super) fn read<B>(body: &mut ReplayBody<B>) -> Vec<Got>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let hand = Hand::new();
    let mut all = Vec::new();
    loop {
        let got = poll(&hand, body);
        let more = matches!(got, Got::Data(_) | Got::Trailers(_));
        all.push(got);
        if !more {
            return all;
        }
    }
}

pub(super) fn data(text: &'static str) -> Turn {
    Turn::Data(Bytes::from_static(text.as_bytes()))
}

pub(super) fn got(text: &'static str) -> Got {
    Got::Data(Bytes::from_static(text.as_bytes()))
}

pub(super) fn trailers(value: &'static str) -> HeaderMap {
    [("x-sum".parse().unwrap(), value.parse().unwrap())].into_iter().collect()
}
