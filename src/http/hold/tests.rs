//! Every way a held call can end, with a layer and bodies that follow a script.

use std::collections::VecDeque;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use tower_layer::Layer;
use tower_service::Service;

use crate::admission::{Hold, Settle};
use crate::classify::{Class, ClassifyEnd, End, Verdict};
use crate::http::hold::{HeldBody, HoldBody};

/// What became of the permits.
type Log = Arc<Mutex<Vec<&'static str>>>;

struct Permit(Option<Log>);

impl Settle for Permit {
    type Classifier = Judge;

    fn classifier(&self) -> &Judge {
        &Judge
    }

    fn settle(mut self, class: Class) {
        self.0.take().unwrap().lock().unwrap().push(class.label());
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(log) = &self.0 {
            log.lock().unwrap().push("abandoned");
        }
    }
}

/// A head below 400 waits; trailers are a failure, and a trailer `panic` is a bug in the classifier.
struct Judge;

type Answer = Response<Script>;

impl ClassifyEnd<Answer, &'static str, HeaderMap> for Judge {
    fn at_head(&self, outcome: Result<&Answer, &&'static str>) -> Verdict {
        match outcome {
            Ok(response) if response.status().as_u16() < 400 => Verdict::Wait,
            Ok(_) => Verdict::Final(Class::Permanent),
            Err(_) => Verdict::Final(Class::Transient),
        }
    }

    fn at_end(&self, end: End<'_, HeaderMap>) -> Class {
        match end {
            End::Complete(None) => Class::Success,
            End::Complete(Some(trailers)) => {
                assert!(!trailers.contains_key("panic"), "a bug in the classifier");
                Class::Overload { retry_after: None }
            }
            End::Failed => Class::Transient,
        }
    }
}

enum Step {
    Data(&'static str),
    Trailers(&'static str),
    Fail,
}

/// A body that plays `steps`; `announces` is whether it says by itself that it has ended.
struct Script {
    steps: VecDeque<Step>,
    announces: bool,
}

impl Body for Script {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        Poll::Ready(self.steps.pop_front().map(|step| match step {
            Step::Data(text) => Ok(Frame::data(text.into())),
            Step::Trailers(name) => Ok(Frame::trailers(
                [(name.parse().unwrap(), "1".parse().unwrap())].into_iter().collect(),
            )),
            Step::Fail => Err("broken off"),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.announces && self.steps.is_empty()
    }
}

/// A layer and its service in one: answers every call with `answer`, or fails without one. Grants
/// a permit unless it has no log to settle it in.
#[derive(Clone)]
struct Backend {
    log: Option<Log>,
    answer: Option<fn() -> Answer>,
}

impl<S> Layer<S> for Backend {
    type Service = Self;

    fn layer(&self, _: S) -> Self {
        self.clone()
    }
}

impl Service<Request<()>> for Backend {
    type Response = Answer;
    type Error = &'static str;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Answering {
        let outcome = self.answer.map(|answer| answer()).ok_or("refused");
        Answering { inner: ready(outcome), log: self.log.clone() }
    }
}

struct Answering {
    inner: Ready<Result<Answer, &'static str>>,
    log: Option<Log>,
}

impl Future for Answering {
    type Output = Result<Answer, &'static str>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.inner).poll(cx)
    }
}

impl Hold<Answer, &'static str> for Answering {
    type Permit = Permit;

    fn poll_hold(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<(Result<Answer, &'static str>, Option<Permit>)> {
        let permit = self.log.take().map(|log| Permit(Some(log)));
        self.poll(cx).map(|outcome| (outcome, permit))
    }
}

type Held = HeldBody<Script, Permit, &'static str>;

/// One call, up to its head.
struct Call {
    log: Log,
    outcome: Result<Response<Held>, &'static str>,
}

impl Call {
    fn new(method: &str, answer: fn() -> Answer) -> Self {
        Self::start(method, Some(answer))
    }

    fn start(method: &str, answer: Option<fn() -> Answer>) -> Self {
        let log = Log::default();
        let backend = Backend { log: Some(log.clone()), answer };
        let outcome = run(backend, method);
        Self { log, outcome }
    }

    fn settled(&self) -> Vec<&'static str> {
        self.log.lock().unwrap().clone()
    }

    fn read(&mut self) -> bool {
        let body = self.outcome.as_mut().unwrap().body_mut();
        let cx = &mut Context::from_waker(Waker::noop());
        match Pin::new(body).poll_frame(cx) {
            Poll::Ready(frame) => frame.is_some(),
            Poll::Pending => unreachable!("the script never waits"),
        }
    }

    /// What a drop at this point adds.
    fn dropped(mut self) -> Vec<&'static str> {
        self.outcome = Err("");
        self.settled()
    }
}

fn run(backend: Backend, method: &str) -> Result<Response<Held>, &'static str> {
    let mut service = HoldBody::new(backend).layer(());
    let request = Request::builder().method(method).body(()).unwrap();
    let mut future = std::pin::pin!(service.call(request));
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => unreachable!("the backend never waits"),
    }
}

fn answer(status: u16, steps: impl IntoIterator<Item = Step>) -> Answer {
    let body = Script { steps: steps.into_iter().collect(), announces: false };
    Response::builder().status(status).body(body).unwrap()
}

fn announced(length: &str, data: &'static str) -> Answer {
    let mut response = answer(200, [Step::Data(data)]);
    response.headers_mut().insert("content-length", length.parse().unwrap());
    response
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_body_read_to_its_end_is_settled_there_and_not_before() {
    let mut call = Call::new("GET", || answer(200, [Step::Data("a"), Step::Data("b")]));
    assert!(call.read() && call.read());
    assert_eq!(call.settled(), NOTHING);
    assert!(!call.read());
    assert_eq!(call.settled(), ["success"]);
    assert_eq!(call.dropped(), ["success"]);
}

#[test]
fn the_verdict_is_on_the_trailers() {
    let mut call = Call::new("GET", || answer(200, [Step::Data("a"), Step::Trailers("x")]));
    call.read();
    assert_eq!(call.settled(), NOTHING);
    call.read();
    assert_eq!(call.settled(), ["overload"]);
}

#[test]
fn a_body_that_breaks_off_is_a_failure() {
    let mut call = Call::new("GET", || answer(200, [Step::Data("a"), Step::Fail]));
    call.read();
    call.read();
    assert_eq!(call.settled(), ["transient"]);
}

#[test]
fn a_final_verdict_stands_however_the_body_ends() {
    let failing = || answer(404, [Step::Data("a"), Step::Fail]);
    assert_eq!(Call::new("GET", failing).settled(), NOTHING);
    assert_eq!(Call::new("GET", failing).dropped(), ["permanent"]);
    let mut call = Call::new("GET", failing);
    call.read();
    call.read();
    assert_eq!(call.settled(), ["permanent"]);
}

#[test]
fn a_success_dropped_unread_is_abandoned() {
    let call = Call::new("GET", || answer(200, [Step::Data("a")]));
    assert_eq!(call.settled(), NOTHING);
    assert_eq!(call.dropped(), ["abandoned"]);
}

#[test]
fn an_announced_length_that_was_read_is_an_end_even_if_nobody_asks_for_it() {
    let mut complete = Call::new("GET", || announced("3", "abc"));
    complete.read();
    assert_eq!(complete.settled(), NOTHING, "trailers may follow");
    assert_eq!(complete.dropped(), ["success"]);

    let mut partial = Call::new("GET", || announced("4", "abc"));
    partial.read();
    assert_eq!(partial.dropped(), ["abandoned"]);

    assert_eq!(Call::new("GET", || announced("0", "")).dropped(), ["success"]);
}

#[test]
fn trailers_after_an_announced_length_have_the_last_word() {
    let mut call = Call::new("GET", || {
        let mut response = announced("3", "abc");
        response.body_mut().steps.push_back(Step::Trailers("x"));
        response
    });
    call.read();
    call.read();
    assert_eq!(call.settled(), ["overload"]);
}

#[test]
fn an_answer_without_a_body_is_settled_with_its_head() {
    let one = || answer(200, [Step::Data("never read")]);
    assert_eq!(Call::new("HEAD", one).settled(), ["success"]);
    assert_eq!(Call::new("GET", || answer(204, [])).settled(), ["success"]);
    assert_eq!(Call::new("GET", || answer(304, [])).settled(), ["success"]);
    let ended = Call::new("GET", || {
        let mut response = answer(200, []);
        response.body_mut().announces = true;
        response
    });
    assert_eq!(ended.settled(), ["success"]);
    assert_eq!(ended.dropped(), ["success"]);
}

#[test]
fn a_body_that_says_it_has_ended_is_settled_with_its_last_frame() {
    let mut call = Call::new("GET", || {
        let mut response = answer(200, [Step::Data("a"), Step::Data("b")]);
        response.body_mut().announces = true;
        response
    });
    call.read();
    assert_eq!(call.settled(), NOTHING);
    call.read();
    assert_eq!(call.settled(), ["success"]);
}

#[test]
fn an_error_in_place_of_the_head_is_settled_at_once() {
    let call = Call::start("GET", None);
    assert_eq!(call.outcome.as_ref().err(), Some(&"refused"));
    assert_eq!(call.settled(), ["transient"]);
}

#[test]
fn an_answer_of_the_layer_itself_holds_nothing() {
    let backend = Backend { log: None, answer: Some(|| answer(200, [Step::Data("a")])) };
    let mut call = Call { log: Log::default(), outcome: run(backend, "GET") };
    assert!(call.read() && !call.read());
    assert_eq!(call.dropped(), NOTHING);
}

#[test]
fn a_classifier_that_panics_abandons_the_call() {
    let mut call = Call::new("GET", || answer(200, [Step::Trailers("panic")]));
    let read = std::panic::AssertUnwindSafe(|| call.read());
    assert!(std::panic::catch_unwind(read).is_err());
    assert_eq!(call.settled(), ["abandoned"]);
}
