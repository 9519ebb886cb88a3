//! [`Pipe`]: a body that a test fills by hand.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::Fault;

type Item = Option<Result<Frame<Bytes>, Fault>>;

/// The end that is read.
#[derive(Debug)]
pub(crate) struct Pipe(Arc<Mutex<State>>);

/// The end that is written.
#[derive(Clone, Debug)]
pub(crate) struct Fill(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Item>,
    reader: Option<Waker>,
    /// Never pending: more of the same, for ever.
    endless: bool,
    dropped: bool,
}

pub(crate) fn pipe() -> (Fill, Pipe) {
    let state = Arc::<Mutex<State>>::default();
    (Fill(state.clone()), Pipe(state))
}

impl Fill {
    fn put(&self, item: Item) -> &Self {
        let reader = {
            let mut state = self.0.lock().unwrap();
            state.items.push_back(item);
            state.reader.take()
        };
        reader.into_iter().for_each(Waker::wake);
        self
    }

    pub(crate) fn data(&self, text: &'static str) -> &Self {
        self.put(Some(Ok(Frame::data(Bytes::from_static(text.as_bytes())))))
    }

    pub(crate) fn trailers(&self) -> &Self {
        self.put(Some(Ok(Frame::trailers(HeaderMap::new()))))
    }

    pub(crate) fn fail(&self) -> &Self {
        self.put(Some(Err(Fault::Broken(1))))
    }

    pub(crate) fn end(&self) -> &Self {
        self.put(None)
    }

    pub(crate) fn endless(&self) {
        self.0.lock().unwrap().endless = true;
    }

    pub(crate) fn is_dropped(&self) -> bool {
        self.0.lock().unwrap().dropped
    }
}

impl Body for Pipe {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let mut state = self.0.lock().unwrap();
        if let Some(item) = state.items.pop_front() {
            return Poll::Ready(item);
        }
        if state.endless {
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"more")))));
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0.lock().unwrap().items.front(), Some(None))
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(self.0.lock().unwrap().items.len() as u64);
        hint
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.0.lock().unwrap().dropped = true;
    }
}
