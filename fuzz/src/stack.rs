//! Random stacks: layers in any order and configuration, over a service that follows a script, on
//! a paused clock.
//!
//! An input is the layers, the callers, what an operator does meanwhile, and then the script. Its
//! choices are read in this order as long as there are any, so that what is past the end is an
//! empty stack, or a service that answers.
//!
//! Nothing may panic. Each call into each layer ends exactly once. A refusal that says that nothing
//! was sent is right, at every layer that it passes. When all is over no layer holds a call, and
//! the stack serves the next one.

mod books;
mod layers;
mod policy;
mod service;
mod tap;

use std::time::Duration;

use buttress::Error;
use buttress::timeout::Deadline;
use http::Request;
use tokio::time::{sleep, timeout};
use tower::util::BoxCloneService;
use tower::{Service as _, ServiceExt as _};

use crate::bytes::Bytes;
use crate::support::paused;
use layers::{Layers, Operation};
use service::{Broken, World};

/// A call, and the numbers of the calls that it has been on its way down.
type Call = Request<Vec<u32>>;
type Failure = Error<Broken>;
type Stack = BoxCloneService<Call, (), Failure>;

const MOST_LAYERS: usize = 6;
const MOST_CALLERS: usize = 16;
const MOST_OPERATIONS: usize = 8;
/// Longer than anything in here takes.
const DAY: Duration = Duration::from_hours(24);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn run(data: &[u8]) {
    paused().block_on(play(Bytes::new(data)));
}

async fn play(mut bytes: Bytes<'_>) {
    let world = World::default();
    let layers = Layers::new(&mut bytes, &world, MOST_LAYERS);
    let callers = Caller::some(&mut bytes);
    let operations = bytes.below(MOST_OPERATIONS + 1);
    let operations: Vec<_> = (0..operations).map(|_| Operation::new(&mut bytes)).collect();
    world.follow(bytes.rest());

    let calls: Vec<_> =
        callers.into_iter().map(|caller| tokio::spawn(caller.call(layers.stack.clone()))).collect();
    for operation in operations {
        layers.operate(operation).await;
    }
    for call in calls {
        call.await.expect("nothing panics");
    }
    sleep(DAY).await;
    layers.assert_at_rest(&world);

    // And the stack is as good as new, once the operator lets it be.
    world.follow(&[]);
    layers.release();
    sleep(DAY).await;
    let mut stack = layers.stack.clone();
    let outcome = stack.ready().await.expect("it is ready").call(Call::new(Vec::new())).await;
    assert_eq!(outcome, Ok(()), "still out of order: {layers:?}");
    layers.assert_at_rest(&world);
}

/// Somebody who calls once, and has only so much patience.
struct Caller {
    after: Duration,
    patience: Duration,
    deadline: Option<Duration>,
    timeout: Option<u64>,
}

impl Caller {
    fn some(bytes: &mut Bytes<'_>) -> Vec<Self> {
        let count = bytes.below(MOST_CALLERS + 1);
        (0..count).map(|_| Self::new(bytes)).collect()
    }

    fn new(bytes: &mut Bytes<'_>) -> Self {
        let set = bytes.byte();
        Self {
            after: ms(if set & 1 != 0 { bytes.number(10_000) } else { 0 }),
            patience: ms(if set & 2 != 0 { bytes.number(2_000) } else { 1_000_000 }),
            deadline: (set & 4 != 0).then(|| ms(bytes.number(5_000))),
            timeout: (set & 8 != 0).then(|| bytes.number(5_000)),
        }
    }

    async fn call(self, mut stack: Stack) {
        sleep(self.after).await;
        let mut call = Call::new(Vec::new());
        if let Some(deadline) = self.deadline {
            call.extensions_mut().insert(Deadline::after(deadline));
        }
        if let Some(millis) = self.timeout {
            call.headers_mut().insert("grpc-timeout", format!("{millis}m").parse().unwrap());
        }
        let outcome = async move { stack.ready().await?.call(call).await };
        // Whatever it came to: the taps have looked at it.
        let _ = timeout(self.patience, outcome).await;
    }
}
