//! The machine beside a naive one that keeps the whole history.

use std::time::Duration;

use proptest::prelude::*;

use crate::load_shed::throttle::state::{Counts, Machine};
use crate::load_shed::throttle::tally::SLICES;
use crate::rng::Rng;
use crate::time::{self, Instant};

const WIDTH: Duration = Duration::from_millis(100);

#[derive(Clone, Debug)]
enum Op {
    Wait(Duration),
    /// So many calls in a row, with this draw.
    Calls(u32, f64),
    /// The n-th call that is out turns out not to have been accepted.
    Lower(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let millis =
        prop_oneof![8 => 0..50_u64, 4 => 0..800_u64, 1 => 0..9_000_u64, 1 => Just(10_u64.pow(11))];
    prop_oneof![
        3 => millis.prop_map(|millis| Op::Wait(Duration::from_millis(millis))),
        4 => (1..20_u32, 0.0..1.0_f64).prop_map(|(calls, draw)| Op::Calls(calls, draw)),
        6 => any::<usize>().prop_map(Op::Lower),
    ]
}

/// Every request that ever was, and whether it still counts as accepted; and a bucket of time, of
/// which each pass of the floor takes as much as lies between two.
struct Naive {
    multiplier: f64,
    history: Vec<(Instant, bool)>,
    out: Vec<(usize, u64)>,
    start: Instant,
    now: Instant,
    interval: Duration,
    bucket: Duration,
}

impl Naive {
    fn slice(&self, at: Instant) -> u128 {
        (at - self.start).as_millis() / WIDTH.as_millis()
    }

    fn counts(&self) -> Counts {
        let newest = self.slice(self.now);
        let inside = |at: Instant| self.slice(at) + u128::from(SLICES) > newest;
        let requests = self.history.iter().filter(|(at, _)| inside(*at));
        let accepts = requests.clone().filter(|(_, accepted)| *accepted).count();
        Counts { requests: requests.count() as u64, accepts: accepts as u64 }
    }

    #[allow(clippy::cast_precision_loss)] // Small numbers.
    fn probability(&self) -> f64 {
        let Counts { requests, accepts } = self.counts();
        let excess = requests as f64 - self.multiplier * accepts as f64;
        if excess > 0.0 { excess / (requests + 1) as f64 } else { 0.0 }
    }

    fn refuses(&mut self, draw: f64) -> bool {
        if draw >= self.probability() {
            return false;
        }
        let room = self.bucket >= self.interval;
        if room {
            self.bucket -= self.interval;
        }
        !room
    }
}

fn run(multiplier: f64, per_second: u32, ops: Vec<Op>) {
    let start = time::now();
    let machine = Machine::new(
        multiplier,
        WIDTH * u32::try_from(SLICES).unwrap(),
        f64::from(per_second),
        Rng::new(Some(0)),
        start,
    );
    let mut slice = machine.first();
    let second = Duration::from_secs(1);
    let mut naive = Naive {
        multiplier,
        history: Vec::new(),
        out: Vec::new(),
        start,
        now: start,
        interval: second / per_second,
        bucket: second,
    };
    for op in ops {
        match op {
            Op::Wait(wait) => {
                naive.now += wait;
                naive.bucket = second.min(naive.bucket + wait);
            }
            Op::Calls(calls, draw) => {
                for _ in 0..calls {
                    let refused = naive.refuses(draw);
                    let arrival = machine.arrive(&mut slice, naive.now, |_| draw);
                    assert_eq!(arrival.refused, refused, "{:?}", naive.counts());
                    naive.history.push((naive.now, !refused));
                    if !refused {
                        naive.out.push((naive.history.len() - 1, arrival.slice));
                    }
                }
            }
            Op::Lower(_) if naive.out.is_empty() => {}
            Op::Lower(n) => {
                let (request, slice) = naive.out.swap_remove(n % naive.out.len());
                naive.history[request].1 = false;
                machine.lower(slice);
            }
        }
        assert_eq!(machine.counts(naive.now), naive.counts());
        assert_eq!(machine.probability(naive.now).to_bits(), naive.probability().to_bits());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_throttle_is_its_naive_model(
        multiplier in prop_oneof![Just(2.0), 1.0..4.0_f64],
        // Divisors of a second in nanoseconds.
        per_second in prop::sample::select(vec![1_u32, 2, 10, 100]),
        ops in prop::collection::vec(op(), 1..300),
    ) {
        run(multiplier, per_second, ops);
    }
}
