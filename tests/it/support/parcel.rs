//! [`Parcel`]: a request with headers and extensions, of no protocol.

use std::any::Any;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use buttress::retry::Attempt;
use buttress::timeout::{Carrier, Deadline, Extended};
use tower::Service;

use super::{Ask, Fault, Mock, Reply, Watch};

/// What is asked of a mock, and what goes with it. Allocates only for its headers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parcel {
    pub(crate) ask: Ask,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) deadline: Option<Deadline>,
    pub(crate) attempt: Option<Attempt>,
}

impl Parcel {
    pub(crate) fn new(ask: Ask) -> Self {
        Self { ask, headers: Vec::new(), deadline: None, attempt: None }
    }

    pub(crate) fn and(mut self, header: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((header.to_owned(), value.as_ref().to_owned()));
        self
    }

    pub(crate) fn until(mut self, deadline: Deadline) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The only value of a header.
    #[track_caller]
    pub(crate) fn text(&self, header: &str) -> Option<&str> {
        self.header(header).map(|value| std::str::from_utf8(value).unwrap())
    }
}

impl Extended for Parcel {
    fn extension<T: Clone + Send + Sync + 'static>(&self) -> Option<&T> {
        let deadline = self.deadline.as_ref().and_then(|it| (it as &dyn Any).downcast_ref());
        deadline.or_else(|| (self.attempt.as_ref()? as &dyn Any).downcast_ref())
    }
}

impl Carrier for Parcel {
    fn header(&self, name: &str) -> Option<&[u8]> {
        let mut values = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let first = &values.next()?.1;
        Some(if values.next().is_some() { b"" } else { first })
    }

    fn set_header(&mut self, name: &str, value: &str) {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.into()));
    }

    fn insert_extension<T: Clone + Send + Sync + 'static>(&mut self, value: T) {
        let deadline = (&value as &dyn Any).downcast_ref().copied();
        self.deadline = Some(deadline.expect("nothing else is put there"));
    }
}

/// A mock for parcels, which keeps what it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Unpack {
    mock: Mock,
    seen: Seen,
}

pub(crate) type Seen = Arc<Mutex<Vec<Parcel>>>;

impl Unpack {
    pub(crate) fn new() -> Self {
        Self { mock: Mock::new(), seen: Seen::default() }
    }

    pub(crate) fn watch(&self) -> Watch {
        self.mock.watch()
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.clone()
    }
}

impl Service<Parcel> for Unpack {
    type Response = u32;
    type Error = Fault;
    type Future = Reply;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.mock.poll_ready(cx)
    }

    fn call(&mut self, parcel: Parcel) -> Reply {
        let ask = parcel.ask;
        self.seen.lock().unwrap().push(parcel);
        self.mock.call(ask)
    }
}

// What is asked of a mock goes through every layer, those too that want to know of deadlines.
impl Extended for Ask {
    fn extension<T: Clone + Send + Sync + 'static>(&self) -> Option<&T> {
        None
    }
}

impl Carrier for Ask {
    fn header(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn set_header(&mut self, _: &str, _: &str) {}

    fn insert_extension<T: Clone + Send + Sync + 'static>(&mut self, _: T) {}
}
