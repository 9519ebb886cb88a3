//! [`Mock`]: an inner service that insists on tower's contract and does what the request says.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use buttress::{Error, Reason, Rejectable, Rejected};
use tower::Service;

/// What the inner service is to do with a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ask {
    /// Answer when first polled.
    Answer(u32),
    /// Answer after this long.
    After(Duration, u32),
    /// Fail when first polled.
    Fail(u32),
    /// Fail after this long.
    FailAfter(Duration, u32),
    /// Answer as a layer further in would that refuses.
    Refuse(Reason),
    /// Refuse after this long.
    RefuseAfter(Duration, Reason),
    /// Be pending so many times, each time waking at once, then answer.
    Pend(u32),
    /// Be pending until [`Mock::let_go`].
    Hold,
    /// Panic in `call`.
    PanicInCall,
    /// Panic when first polled.
    PanicInPoll,
}

/// The error of the inner service.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    Broken(u32),
    Rejected(Rejected),
}

impl From<Rejected> for Fault {
    fn from(rejected: Rejected) -> Self {
        Self::Rejected(rejected)
    }
}

// So that one suite serves the layer that changes the error type too.
impl From<Error<Fault>> for Fault {
    fn from(error: Error<Fault>) -> Self {
        match error {
            Error::Rejected(rejected) => Self::Rejected(rejected),
            Error::Service(fault) => fault,
        }
    }
}

impl Rejectable for Fault {
    fn rejected(&self) -> Option<&Rejected> {
        match self {
            Self::Rejected(rejected) => Some(rejected),
            Self::Broken(_) => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl StdError for Fault {}

/// Panics when called without having been made ready, and remembers what was done to it. A clone
/// is an instance of its own, and never ready.
#[derive(Debug)]
pub(crate) struct Mock {
    shared: Arc<Shared>,
    id: usize,
    ready: bool,
}

#[derive(Debug, Default)]
struct Shared(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    instances: usize,
    alive: usize,
    replies: usize,
    most_replies: usize,
    readiness: Readiness,
    waiting: Vec<Waker>,
    held: Vec<Waker>,
    let_go: bool,
    /// The instance of each call, in order.
    called: Vec<usize>,
    /// The instance of each `poll_ready` that answered `Ready(Ok)`.
    readied: Vec<usize>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Readiness {
    #[default]
    Ready,
    Pending,
    Failing(u32),
    Panicking,
}

impl Mock {
    pub(crate) fn new() -> Self {
        let mock = Self { shared: Arc::default(), id: 0, ready: false };
        let mut state = mock.shared.0.lock().unwrap();
        (state.instances, state.alive) = (1, 1);
        drop(state);
        mock
    }

    /// Another eye on the same books, which is no instance.
    pub(crate) fn watch(&self) -> Watch {
        Watch(self.shared.clone())
    }

    /// The number of this instance, in the order of cloning.
    pub(crate) fn id(&self) -> usize {
        self.id
    }
}

impl Clone for Mock {
    fn clone(&self) -> Self {
        let mut state = self.shared.0.lock().unwrap();
        let id = state.instances;
        state.instances += 1;
        state.alive += 1;
        drop(state);
        Self { shared: self.shared.clone(), id, ready: false }
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.shared.0.lock().unwrap().alive -= 1;
    }
}

impl Service<Ask> for Mock {
    type Response = u32;
    type Error = Fault;
    type Future = Reply;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        let mut state = self.shared.0.lock().unwrap();
        match state.readiness {
            // A grant stands, whatever has become of the service since.
            Readiness::Pending if !self.ready => {
                state.waiting.push(cx.waker().clone());
                Poll::Pending
            }
            Readiness::Failing(code) => Poll::Ready(Err(Fault::Broken(code))),
            Readiness::Panicking => {
                drop(state);
                panic!("as the test wants: in poll_ready");
            }
            _ => {
                state.readied.push(self.id);
                self.ready = true;
                Poll::Ready(Ok(()))
            }
        }
    }

    fn call(&mut self, ask: Ask) -> Reply {
        assert!(std::mem::take(&mut self.ready), "instance {} was not made ready", self.id);
        self.shared.0.lock().unwrap().called.push(self.id);
        assert!(ask != Ask::PanicInCall, "as the test wants: in call");
        Reply::new(self.shared.clone(), ask)
    }
}

/// Steers and reads all the instances of one [`Mock`].
#[derive(Clone, Debug)]
pub(crate) struct Watch(Arc<Shared>);

impl Watch {
    fn set(&self, readiness: Readiness) {
        let woken = {
            let mut state = self.0.0.lock().unwrap();
            state.readiness = readiness;
            std::mem::take(&mut state.waiting)
        };
        woken.into_iter().for_each(Waker::wake);
    }

    /// From now on `poll_ready` is pending.
    pub(crate) fn stall(&self) {
        self.set(Readiness::Pending);
    }

    /// From now on `poll_ready` is ready; wakes all who wait.
    pub(crate) fn unstall(&self) {
        self.set(Readiness::Ready);
    }

    /// From now on `poll_ready` fails.
    pub(crate) fn fail_readiness(&self, code: u32) {
        self.set(Readiness::Failing(code));
    }

    /// From now on `poll_ready` panics.
    pub(crate) fn panic_in_readiness(&self) {
        self.set(Readiness::Panicking);
    }

    /// Lets all held calls answer, and those to come.
    pub(crate) fn let_go(&self) {
        let woken = {
            let mut state = self.0.0.lock().unwrap();
            state.let_go = true;
            std::mem::take(&mut state.held)
        };
        woken.into_iter().for_each(Waker::wake);
    }

    /// Instances that have ever been: the first and all clones.
    pub(crate) fn instances(&self) -> usize {
        self.0.0.lock().unwrap().instances
    }

    /// Instances that are.
    pub(crate) fn alive(&self) -> usize {
        self.0.0.lock().unwrap().alive
    }

    /// Response futures that are and have not answered yet.
    pub(crate) fn replies(&self) -> usize {
        self.0.0.lock().unwrap().replies
    }

    /// Response futures at most at any time.
    pub(crate) fn most_replies(&self) -> usize {
        self.0.0.lock().unwrap().most_replies
    }

    /// The instance of each call so far.
    pub(crate) fn called(&self) -> Vec<usize> {
        self.0.0.lock().unwrap().called.clone()
    }

    /// The instance of each readiness so far.
    pub(crate) fn readied(&self) -> Vec<usize> {
        self.0.0.lock().unwrap().readied.clone()
    }
}

/// The response future of a [`Mock`].
#[derive(Debug)]
pub(crate) struct Reply {
    shared: Arc<Shared>,
    ask: Ask,
    // Boxed, so that the reply is `Unpin` and can be moved about by tests.
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
    pends: u32,
    ended: bool,
}

impl Reply {
    fn new(shared: Arc<Shared>, ask: Ask) -> Self {
        let mut state = shared.0.lock().unwrap();
        state.replies += 1;
        state.most_replies = state.most_replies.max(state.replies);
        drop(state);
        let sleep = match ask {
            Ask::After(wait, _) | Ask::FailAfter(wait, _) | Ask::RefuseAfter(wait, _) => {
                Some(Box::pin(tokio::time::sleep(wait)))
            }
            _ => None,
        };
        Self { shared, ask, sleep, pends: 0, ended: false }
    }
}

impl Future for Reply {
    type Output = Result<u32, Fault>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(self.poll_outcome(cx));
        self.end();
        Poll::Ready(outcome)
    }
}

impl Reply {
    fn poll_outcome(&mut self, cx: &mut Context<'_>) -> Poll<Result<u32, Fault>> {
        if let Some(sleep) = &mut self.sleep {
            ready!(sleep.as_mut().poll(cx));
        }
        match self.ask {
            Ask::Answer(n) | Ask::After(_, n) => Poll::Ready(Ok(n)),
            Ask::Fail(code) | Ask::FailAfter(_, code) => Poll::Ready(Err(Fault::Broken(code))),
            Ask::Refuse(reason) | Ask::RefuseAfter(_, reason) => {
                Poll::Ready(Err(Rejected::new(reason).named("inner").into()))
            }
            Ask::Pend(times) if self.pends == times => Poll::Ready(Ok(times)),
            Ask::Pend(_) => {
                self.pends += 1;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Ask::Hold => {
                let mut state = self.shared.0.lock().unwrap();
                if state.let_go {
                    return Poll::Ready(Ok(0));
                }
                state.held.push(cx.waker().clone());
                Poll::Pending
            }
            Ask::PanicInCall | Ask::PanicInPoll => panic!("as the test wants: in poll"),
        }
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            self.shared.0.lock().unwrap().replies -= 1;
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.end();
    }
}

/// The reason of a refusal, which this has to be.
#[track_caller]
pub(crate) fn refusal<T: fmt::Debug>(outcome: Result<T, Fault>) -> Rejected {
    match outcome {
        Err(Fault::Rejected(rejected)) => rejected,
        other => panic!("not a refusal: {other:?}"),
    }
}
