//! What is compared: in each row of the table, everybody who does the same.

mod others;
mod ours;
mod peer;
mod reported;
pub(crate) mod shared;
mod tower;

use std::fmt::Debug;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use ::tower::Service;

use crate::drive::{Does, Refuses, Request, Subject, Succeeds};
use crate::rows::{ROWS, Row};

pub(crate) use ours::size_of_four;
pub(crate) use reported::{drain, install_recorder};

/// Somebody's way to do what a row is about.
pub(crate) struct Case {
    pub(crate) row: &'static str,
    pub(crate) whose: &'static str,
    pub(crate) make: fn() -> Box<dyn Subject>,
}

pub(crate) const OURS: &str = "buttress";
pub(crate) const PEER: &str = "tower-resilience";
pub(crate) const TOWER: &str = "tower";
pub(crate) const ACC: &str = "tower-acc";
pub(crate) const RECLOSER: &str = "recloser";
pub(crate) const FAILSAFE: &str = "failsafe";
pub(crate) const GOVERNOR: &str = "governor";
pub(crate) const METRICS: &str = "metrics";

impl Case {
    pub(crate) fn is_ours(&self) -> bool {
        self.whose == OURS
    }

    pub(crate) fn row(&self) -> &'static Row {
        let row = ROWS.iter().find(|row| row.name == self.row);
        row.unwrap_or_else(|| panic!("a case of no row: {} of {}", self.row, self.whose))
    }
}

/// Every case; those of a row stand together, ours first.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = ours::cases();
    cases.extend(reported::cases());
    cases.extend(peer::cases());
    cases.extend(tower::cases());
    cases.extend(others::cases());
    cases.sort_by_key(|case| ROWS.iter().position(|row| row.name == case.row().name));
    cases
}

fn succeeds(
    service: impl Service<Request, Response = u32, Error: Debug> + 'static,
) -> Box<dyn Subject> {
    Box::new(Succeeds(service))
}

fn refuses(
    service: impl Service<Request, Response = u32, Error: Debug> + 'static,
) -> Box<dyn Subject> {
    Box::new(Refuses(service))
}

fn does(call: impl FnMut() + 'static) -> Box<dyn Subject> {
    Box::new(Does(call))
}

/// Takes a place that is never given back.
fn occupy<S: Service<Request>>(service: &mut S) {
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    // Some take it when they are called, some when they are polled.
    let mut future = Box::pin(service.call(7));
    assert!(future.as_mut().poll(&mut cx).is_pending());
    std::mem::forget(future);
}

/// The outcome of a future that has nothing to wait for.
fn at_once<F: Future>(future: F) -> F::Output {
    let mut cx = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut cx) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("it waits"),
    }
}
