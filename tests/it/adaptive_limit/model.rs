//! The layer against a naive model of it, under an algorithm that does as it is told.

use std::pin::Pin;

use buttress::Reason;
use buttress::adaptive_limit::{AdaptiveLimitLayer, Outcome, ResponseFuture};
use buttress::classify::DefaultClassifier;
use proptest::prelude::*;
use tower::Layer;

use super::puppet::Puppet;
use crate::support::{Ask, Mock, Reply, call, poll_once};

#[derive(Clone, Copy, Debug)]
enum Op {
    /// A call comes that will end so.
    Enter(Ask),
    /// The n-th of those in flight ends as it will.
    End(usize),
    /// ... is dropped.
    Cancel(usize),
    /// What the algorithm says from now on.
    Limit(f64),
    Skip(u32),
    Listens(bool),
}

fn op() -> impl Strategy<Value = Op> {
    let ask = prop_oneof![
        Just(Ask::Answer(1)),
        Just(Ask::Fail(1)),
        Just(Ask::Refuse(Reason::TimedOut)),
        Just(Ask::Refuse(Reason::BulkheadFull)),
    ];
    let limit = prop_oneof![
        4 => 0.0..12.0,
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(-7.0),
    ];
    prop_oneof![
        10 => ask.prop_map(Op::Enter),
        6 => any::<usize>().prop_map(Op::End),
        2 => any::<usize>().prop_map(Op::Cancel),
        2 => limit.prop_map(Op::Limit),
        1 => (0u32..5).prop_map(Op::Skip),
        1 => any::<bool>().prop_map(Op::Listens),
    ]
}

type Running = Pin<Box<ResponseFuture<Reply, Puppet, DefaultClassifier>>>;

/// The layer as one would write it if it cost nothing.
struct Model {
    /// What the algorithm says.
    wanted: (f64, u32, bool),
    limit: usize,
    skip: u32,
    pressed: bool,
    /// Those in flight, and whether the algorithm wants to hear of their ends.
    calls: Vec<(Running, Ask, bool)>,
}

const MIN: usize = 2;
const MAX: usize = 9;

impl Model {
    fn steer(&mut self) {
        let (wanted, skip, _) = self.wanted;
        self.limit = (MIN..=MAX).rev().find(|limit| wanted >= limit_as(*limit)).unwrap_or(MIN);
        self.skip = skip;
    }

    /// Whether the call is let in, and whether it is shown.
    fn enter(&mut self) -> (bool, bool) {
        if self.calls.len() >= self.limit {
            // The first to be refused since an end was shown: that is news.
            if !std::mem::replace(&mut self.pressed, true) {
                self.skip = 0;
            }
            return (false, false);
        }
        let shown = self.skip == 0;
        if shown {
            self.steer();
        } else {
            self.skip -= 1;
        }
        (true, shown)
    }
}

fn limit_as(limit: usize) -> f64 {
    f64::from(u32::try_from(limit).unwrap())
}

fn outcome(ask: Ask) -> Outcome {
    match ask {
        Ask::Answer(_) => Outcome::Answered,
        Ask::Refuse(Reason::TimedOut) => Outcome::TimedOut,
        _ => Outcome::Unknown,
    }
}

fn run(ops: Vec<Op>) {
    let puppet = Puppet::at(5.0);
    let layer = AdaptiveLimitLayer::builder().algorithm(puppet.clone()).min(MIN).max(MAX).build();
    let mut service = layer.layer(Mock::new());
    let mut model =
        Model { wanted: (5.0, 0, true), limit: 5, skip: 0, pressed: false, calls: Vec::new() };
    for op in ops {
        match op {
            Op::Limit(limit) => (model.wanted.0 = limit, puppet.set_limit(limit)).1,
            Op::Skip(skip) => (model.wanted.1 = skip, puppet.set_skip(skip)).1,
            Op::Listens(listens) => (model.wanted.2 = listens, puppet.set_listens(listens)).1,
            Op::Enter(ask) => {
                let (admitted, shown) = model.enter();
                let mut running = call(&mut service, ask);
                let seen = puppet.admitted();
                assert_eq!(seen.len(), usize::from(shown), "shown to the algorithm");
                if admitted {
                    let heard = shown && model.wanted.2;
                    model.calls.push((running, ask, heard));
                    assert!(seen.iter().all(|call| call.in_flight == model.calls.len()));
                } else {
                    assert!(poll_once(&mut running).is_ready(), "refused at once");
                }
            }
            Op::End(n) | Op::Cancel(n) => {
                let Some(n) = n.checked_rem(model.calls.len()) else { continue };
                let (mut running, ask, heard) = model.calls.swap_remove(n);
                let said = if let Op::End(_) = op {
                    assert!(poll_once(&mut running).is_ready());
                    outcome(ask)
                } else {
                    Outcome::Unknown
                };
                drop(running);
                let seen = puppet.ended();
                assert_eq!(seen.len(), usize::from(heard));
                if heard {
                    assert_eq!((seen[0].outcome, seen[0].in_flight), (said, model.calls.len()));
                    assert_eq!(seen[0].pressed, std::mem::take(&mut model.pressed));
                    model.steer();
                }
            }
        }
        assert_eq!(layer.handle().limit(), model.limit);
        assert_eq!(layer.handle().in_flight(), model.calls.len());
    }
    model.calls.clear();
    assert_eq!(layer.handle().in_flight(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_layer_is_its_naive_model(ops in prop::collection::vec(op(), 1..300)) {
        run(ops);
    }
}
