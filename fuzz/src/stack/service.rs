//! The service at the bottom, and the script that it follows.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use buttress::{Error, Rejected};
use tokio::time::Sleep;
use tower::Service;

use super::{Call, Failure, ms};
use crate::bytes::Bytes;
use crate::support::REASONS;

/// The service failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Down,
    /// It asks for less, and may say until when.
    Overloaded(Option<Duration>),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken")
    }
}

impl std::error::Error for Broken {}

/// What all instances of the service share.
#[derive(Clone, Debug, Default)]
pub(super) struct World(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    script: Vec<u8>,
    read: usize,
    calls: u32,
    /// The numbers of the calls that have reached the service.
    seen: HashSet<u32>,
    in_flight: usize,
}

impl World {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics")
    }

    /// From now on, does as this says; past its end, answers.
    pub(super) fn follow(&self, script: &[u8]) {
        let mut state = self.state();
        (state.script, state.read) = (script.to_vec(), 0);
    }

    /// A number that no call has yet.
    pub(super) fn number(&self) -> u32 {
        let mut state = self.state();
        state.calls += 1;
        state.calls
    }

    pub(super) fn has_seen(&self, call: u32) -> bool {
        self.state().seen.contains(&call)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.state().in_flight
    }

    /// The next choice of the script.
    fn choose<T>(&self, choice: impl FnOnce(&mut Bytes<'_>) -> T) -> T {
        let mut state = self.state();
        let mut bytes = Bytes::new(&state.script[state.read..]);
        let chosen = choice(&mut bytes);
        let left = bytes.rest().len();
        state.read = state.script.len() - left;
        chosen
    }

    pub(super) fn service(&self) -> Script {
        Script { world: self.clone(), readiness: Readiness::Unknown }
    }
}

/// An instance of the service. Insists on the contract: it is not called unless it was ready, and
/// left alone once it has failed to get ready.
#[derive(Debug)]
pub(super) struct Script {
    world: World,
    readiness: Readiness,
}

#[derive(Debug)]
enum Readiness {
    Unknown,
    Pending(Pin<Box<Sleep>>),
    Ready,
    Dead,
}

impl Clone for Script {
    fn clone(&self) -> Self {
        self.world.service()
    }
}

impl Service<Call> for Script {
    type Response = ();
    type Error = Failure;
    type Future = Reply;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if let Readiness::Unknown = self.readiness {
            self.readiness = self.world.choose(|bytes| match bytes.byte() {
                0..192 => Readiness::Ready,
                192..248 => {
                    Readiness::Pending(Box::pin(tokio::time::sleep(ms(bytes.number(2_000)))))
                }
                _ => Readiness::Dead,
            });
        }
        match &mut self.readiness {
            Readiness::Pending(until) => ready!(until.as_mut().poll(cx)),
            Readiness::Dead => return Poll::Ready(Err(Error::Service(Broken::Down))),
            Readiness::Unknown | Readiness::Ready => {}
        }
        self.readiness = Readiness::Ready;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Reply {
        let was = std::mem::replace(&mut self.readiness, Readiness::Unknown);
        assert!(matches!(was, Readiness::Ready), "called when {was:?}");
        let (outcome, wait, pends) = self.world.choose(scene);
        let mut state = self.world.state();
        if !matches!(&outcome, Err(Error::Rejected(rejected)) if !rejected.was_dispatched()) {
            state.seen.extend(call.into_body());
        }
        state.in_flight += 1;
        drop(state);
        let wait = (!wait.is_zero()).then(|| Box::pin(tokio::time::sleep(wait)));
        Reply { world: self.world.clone(), outcome: Some(outcome), wait, pends }
    }
}

/// What a call comes to, after how long, and how often it is polled in vain before.
fn scene(bytes: &mut Bytes<'_>) -> (Result<(), Failure>, Duration, u8) {
    let byte = bytes.byte();
    let wait = ms(if byte & 8 != 0 { bytes.number(5_000) } else { 0 });
    let pends = if byte & 16 != 0 { byte >> 5 } else { 0 };
    let outcome = match byte & 7 {
        0..=2 => Ok(()),
        3 | 4 => Err(Error::Service(Broken::Down)),
        5 => {
            let hint = (byte & 32 != 0).then(|| ms(bytes.number(100_000)));
            Err(Error::Service(Broken::Overloaded(hint)))
        }
        6 => {
            // As a layer in between would that is none of ours.
            let refused = Rejected::new(bytes.pick(&REASONS)).dispatched(bytes.flag());
            Err(Error::Rejected(refused))
        }
        // For as good as ever.
        _ => return (Ok(()), Duration::from_secs(10_000), pends),
    };
    (outcome, wait, pends)
}

/// The response future of the service.
#[derive(Debug)]
pub(super) struct Reply {
    world: World,
    outcome: Option<Result<(), Failure>>,
    wait: Option<Pin<Box<Sleep>>>,
    pends: u8,
}

impl Future for Reply {
    type Output = Result<(), Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(pends) = self.pends.checked_sub(1) {
            self.pends = pends;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(wait) = &mut self.wait {
            ready!(wait.as_mut().poll(cx));
        }
        Poll::Ready(self.outcome.take().expect("not polled after its end"))
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.world.state().in_flight -= 1;
    }
}
