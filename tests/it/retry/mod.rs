//! Retry: when there is another attempt, when not, and what the caller gets.

mod attempts;
mod budget;
mod cancellation;
mod delays;
mod giving_up;
mod readiness;
mod reports;

use std::collections::VecDeque;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use buttress::retry::{Attempt, Backoff, Builder, Hint, Jitter, Policy, RetryLayer};
use buttress::timeout::Deadline;
use buttress::{Class, Error, Reason, Rejected};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A request.
#[derive(Clone, Debug, Default, PartialEq)]
struct Job {
    text: &'static str,
    attempt: Option<Attempt>,
    deadline: Option<Deadline>,
    /// Stamped by the policy, once.
    stamp: u32,
    /// The policy lets it be sent once only.
    once: bool,
}

impl Job {
    fn new(text: &'static str) -> Self {
        Self { text, ..Self::default() }
    }

    fn due(deadline: Deadline) -> Self {
        Self { deadline: Some(deadline), ..Self::default() }
    }
}

/// What the server does with a request.
#[derive(Clone, Debug, PartialEq)]
enum Say {
    Good(u32),
    /// The caller's fault.
    Wrong(u32),
    /// An answer that asks for less, with or without a hint.
    Busy(Option<Duration>),
    /// An answer of the kind that gRPC's pushback is: exact.
    PushBack(Duration),
    /// An answer that asks for no further attempt.
    Stop,
    /// An answer after which this request must not be sent again.
    Lost,
    Fail(u32),
    Refuse(Reason),
}

type Fault = Error<u32>;

/// An answer, which is known to be alive or not.
#[derive(Clone, Debug)]
struct Answer {
    says: Say,
    _alive: Arc<()>,
}

/// Answers as it was told to, one request after the other, and with the last answer for good.
#[derive(Clone, Debug)]
struct Server(Arc<Mutex<Books>>);

#[derive(Debug)]
struct Books {
    script: VecDeque<Say>,
    seen: Vec<(Duration, Job)>,
    start: Instant,
    alive: Arc<()>,
}

impl Server {
    fn says(script: impl IntoIterator<Item = Say>) -> Self {
        let script = script.into_iter().collect();
        let (seen, start) = (Vec::new(), Instant::now());
        Self(Arc::new(Mutex::new(Books { script, seen, start, alive: Arc::default() })))
    }

    /// What came, and when.
    fn seen(&self) -> Vec<(Duration, Job)> {
        self.0.lock().unwrap().seen.clone()
    }

    fn times(&self) -> Vec<Duration> {
        self.seen().into_iter().map(|(at, _)| at).collect()
    }

    /// The pauses between what came.
    fn pauses(&self) -> Vec<Duration> {
        self.times().windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    fn calls(&self) -> usize {
        self.0.lock().unwrap().seen.len()
    }

    /// Answers that somebody still holds.
    fn answers_alive(&self) -> usize {
        Arc::strong_count(&self.0.lock().unwrap().alive) - 1
    }
}

impl Service<Job> for Server {
    type Response = Answer;
    type Error = Fault;
    type Future = Ready<Result<Answer, Fault>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, job: Job) -> Self::Future {
        let mut books = self.0.lock().unwrap();
        let at = books.start.elapsed();
        books.seen.push((at, job));
        let says = match books.script.len() {
            1 => books.script[0].clone(),
            _ => books.script.pop_front().expect("a script"),
        };
        ready(match says {
            Say::Fail(code) => Err(Error::Service(code)),
            Say::Refuse(reason) => Err(Rejected::new(reason).into()),
            says => Ok(Answer { says, _alive: books.alive.clone() }),
        })
    }
}

/// The policy for jobs: notes what it is asked.
#[derive(Clone, Debug, Default)]
struct ForJobs {
    asked: Arc<Mutex<Vec<&'static str>>>,
    refusals_too: bool,
}

impl ForJobs {
    fn note(&self, question: &'static str) {
        self.asked.lock().unwrap().push(question);
    }

    fn asked(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    fn clones(&self) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| **asked == "clone").count()
    }
}

impl Policy<Job, Answer, Fault> for ForJobs {
    fn clone_request(&self, job: &Job) -> Option<Job> {
        self.note("clone");
        (!job.once).then(|| job.clone())
    }

    fn classify(&self, outcome: Result<&Answer, &Fault>) -> Class {
        self.note("classify");
        match outcome {
            Ok(answer) => match answer.says {
                Say::Good(_) => Class::Success,
                Say::Wrong(_) => Class::Permanent,
                Say::Busy(hint) => Class::Overload { retry_after: hint },
                _ => Class::Transient,
            },
            Err(Error::Rejected(refusal)) if refusal.reason() != Reason::TimedOut => {
                if self.refusals_too { Class::Transient } else { Class::Ignore }
            }
            Err(_) => Class::Transient,
        }
    }

    fn may_resend(&self, _: &Job, outcome: Result<&Answer, &Fault>) -> bool {
        self.note("may_resend");
        !matches!(outcome, Ok(Answer { says: Say::Lost, .. }))
    }

    fn hint(&self, outcome: Result<&Answer, &Fault>, class: Class) -> Hint {
        self.note("hint");
        match (outcome, class) {
            (Ok(Answer { says: Say::Stop, .. }), _) => Hint::Stop,
            (Ok(Answer { says: Say::PushBack(wait), .. }), _) => Hint::Exactly(*wait),
            (_, Class::Overload { retry_after: Some(wait) }) => Hint::AtLeast(wait),
            _ => Hint::None,
        }
    }

    fn prepare(&self, job: &mut Job) {
        self.note("prepare");
        job.stamp += 1;
    }

    fn deadline(&self, job: &Job) -> Option<Deadline> {
        self.note("deadline");
        job.deadline
    }

    fn mark(&self, job: &mut Job, attempt: Attempt) {
        self.note("mark");
        job.attempt = Some(attempt);
    }
}

/// 100, 200, 400 ms and so on, without jitter.
fn plain() -> Builder<ForJobs> {
    retry(ForJobs::default())
}

fn retry(policy: ForJobs) -> Builder<ForJobs> {
    RetryLayer::builder(policy)
        .backoff(Backoff::exponential(100 * MS, 20 * SECOND).jitter(Jitter::None))
}

/// One call through the layer, to its end.
async fn call(layer: &RetryLayer<ForJobs>, server: &Server, job: Job) -> Result<Say, Fault> {
    layer.layer(server.clone()).oneshot(job).await.map(|answer| answer.says)
}
