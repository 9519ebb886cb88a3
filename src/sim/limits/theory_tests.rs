//! Runs against what theory says of them.

#![allow(clippy::cast_precision_loss)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::{Caller, Demand, Static, Trial, Workload};
use crate::adaptive_limit::{Admitted, Algorithm, Cohort, Ended, Outcome, Range};
use crate::sim::{Cancellation, Faults, Latency, Server};

const NEVER: Duration = Duration::from_secs(100_000);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn exponential(workers: u32, mean: Duration) -> Server {
    Server::workers(workers, Latency::exponential(mean))
}

fn with_limit(workload: &Workload, limit: usize) -> Trial {
    workload.run(1, |_| Box::new(Static::new(limit)))
}

fn close(what: &str, found: f64, expected: f64, within: f64) {
    assert!((found / expected - 1.0).abs() <= within, "{what}: {found}, expected {expected}");
}

/// Keeps what it was shown of each end, and has a limit that never refuses.
#[derive(Clone, Debug, Default)]
struct Witness(Arc<Mutex<Vec<(Duration, Outcome)>>>);

impl Algorithm for Witness {
    fn limit(&self) -> f64 {
        1e4
    }

    fn ended(&mut self, call: &Ended) {
        self.0.lock().unwrap().push((call.latency, call.outcome));
    }
}

fn witnessed(workload: &Workload) -> (Trial, Vec<(Duration, Outcome)>) {
    let witness = Witness::default();
    let trial = workload.run(1, |_| Box::new(witness.clone()));
    let seen = witness.0.lock().unwrap().clone();
    (trial, seen)
}

/// The share of time in which M/M/c/K has `k` in it, for k of 0 to K; `load` is in workers.
fn states(c: u32, k: u32, load: f64) -> Vec<f64> {
    let mut all = vec![1.0];
    for n in 1..=k {
        all.push(all[n as usize - 1] * load / f64::from(n.min(c)));
    }
    let sum: f64 = all.iter().sum();
    all.into_iter().map(|weight| weight / sum).collect()
}

#[test]
fn a_static_limit_is_the_m_m_c_k_queue() {
    for (c, k, load) in [(4, 4, 0.9), (4, 10, 1.2), (16, 24, 0.95), (1, 3, 2.0)] {
        let workload =
            Workload::new(exponential(c, ms(10)), load).deadline(NEVER).run_for(secs(300));
        let trial = with_limit(&workload, k as usize);
        let states = states(c, k, load * f64::from(c));
        let rate = load * workload.server.capacity();
        let lost = states[k as usize];
        close("throughput", trial.goodput(), rate * (1.0 - lost), 0.02);
        close("refused", trial.refused() as f64, 300.0 * rate * lost, 0.02 + 0.02 * (1.0 - lost));
        // By Little's law: the mean in flight over the throughput.
        let in_flight: f64 = (0_u32..).zip(&states).map(|(n, share)| f64::from(n) * share).sum();
        let latency = trial.latencies.iter().map(|nanos| f64::from(*nanos)).sum::<f64>()
            / trial.latencies.len() as f64
            / 1e9;
        close("latency", latency, in_flight / (rate * (1.0 - lost)), 0.02);
    }
}

#[test]
fn one_worker_and_no_limit_is_the_m_m_1_queue() {
    let workload = Workload::new(exponential(1, ms(5)), 0.7).deadline(NEVER).run_for(secs(4000));
    let (trial, seen) = witnessed(&workload);
    // The latency is exponential with the mean 1 / (mu - lambda).
    let mean = 1.0 / (200.0 - 140.0);
    let sum: Duration = seen.iter().map(|(latency, _)| *latency).sum();
    close("mean", sum.as_secs_f64() / seen.len() as f64, mean, 0.04);
    close("p99", trial.p99().as_secs_f64(), mean * 100_f64.ln(), 0.06);
    assert_eq!(trial.refused(), 0);
}

#[test]
fn the_network_adds_its_round_trip_and_nothing_else() {
    let server = Server::workers(1000, Latency::fixed(ms(10)));
    let mut workload = Workload::new(server, 0.1).run_for(secs(3));
    workload.callers[0].network = vec![(secs(0), ms(7)), (secs(1), ms(50)), (secs(2), ms(0))];
    workload.deadline = ms(200);
    let (trial, seen) = witnessed(&workload);
    let count = |expected: Duration| {
        seen.iter().filter(|(latency, _)| latency.abs_diff(expected) < ms(1) / 1000).count()
    };
    let [near, far, beside] = [17, 60, 10].map(|latency| count(ms(latency)));
    // Those on their way at a change have half of each.
    assert!(near > 9000 && far > 9000 && beside > 9000, "{near} {far} {beside}");
    assert!(near + far + beside > seen.len() * 98 / 100);
    assert_eq!(trial.ends().answered, seen.len() as u64);
}

#[test]
fn deadlines_end_calls_exactly_and_not_those_just_before() {
    for (takes, deadline, outcome) in [
        (ms(30), ms(20), Outcome::TimedOut),
        (ms(20), ms(20), Outcome::TimedOut),
        (ms(19), ms(20), Outcome::Answered),
    ] {
        let server = Server::workers(10_000, Latency::fixed(takes));
        let workload = Workload::new(server, 0.01).deadline(deadline).run_for(secs(2));
        let (trial, seen) = witnessed(&workload);
        assert!(seen.len() > 1000);
        let expected = takes.min(deadline);
        for (latency, seen) in seen {
            assert!(latency.abs_diff(expected) <= Duration::from_nanos(2), "{latency:?}");
            assert_eq!(seen, outcome);
        }
        assert!(trial.p99().abs_diff(expected) < ms(1));
        assert_eq!(trial.goodput() > 0.0, outcome == Outcome::Answered);
    }
}

/// Workloads with everything that can happen in them.
fn troubled(cancellation: Cancellation) -> Workload {
    let on = Workload::SERVER;
    let server = exponential(8, ms(10)).queue(20).cancellation(cancellation);
    let open = Demand::Open(vec![(secs(0), 600.0), (secs(5), 2000.0), (secs(8), 200.0)]);
    let faults = Faults::new()
        .slow(on, 3.0, secs(1), secs(1))
        .errors(on, 0.3, secs(2), secs(1))
        .crash(on, secs(3), ms(500))
        .silence(on, secs(4), ms(500))
        .partition(on, secs(5), ms(500))
        .lose_replies(on, 0.4, secs(6), secs(1))
        .lose_workers(on, 0.5, secs(7), secs(1))
        .pause(on, secs(8), ms(700));
    Workload::new(server, 1.0)
        .callers(vec![
            Caller::new(open).network(ms(3)),
            Caller::new(Demand::Waiting(40)).network(ms(1)).joins(secs(2)),
            Caller::new(Demand::Waiting(40)),
            Caller::new(Demand::Returning(30, ms(20))),
        ])
        .deadline(ms(60))
        .fast_errors(0.05)
        .faults(faults)
        .run_for(secs(10))
}

#[test]
fn every_call_ends_once_whatever_happens() {
    for cancellation in [Cancellation::Ignored, Cancellation::Stops] {
        let workload = troubled(cancellation);
        let admitted = Arc::new(AtomicU64::new(0));
        let trial = workload.run(3, |_| Box::new(Counting(Cohort::new(), Arc::clone(&admitted))));
        let ends = trial.ends();
        assert_eq!(ends.admitted(), admitted.load(Ordering::Relaxed), "{ends:?}");
        let of_each = [ends.answered, ends.timed_out, ends.overloaded, ends.failed];
        assert!(of_each.iter().all(|count| *count > 50), "all of it happens: {ends:?}");
        let good: u64 = trial.good.iter().flatten().map(|good| u64::from(*good)).sum();
        assert_eq!(good, ends.answered);
        assert_eq!(trial.latencies.len() as u64, ends.answered + ends.timed_out);

        let limit_of = |trial: &Trial| trial.limits().iter().map(|l| *l.last().unwrap()).sum();
        let most: usize = limit_of(&trial);
        assert!(ends.unfinished <= 110 + most as u64, "more than clients and limits: {ends:?}");
        let mut over = workload;
        over.callers.truncate(1);
        over.callers[0].demand = Demand::Open(vec![(secs(0), 600.0), (secs(9), 0.0)]);
        let unfinished = with_limit(&over, 50).ends().unfinished;
        assert_eq!(unfinished, 0, "nobody has asked for a second");
    }
}

/// Counts what is admitted, and is shown all of it.
struct Counting<A>(A, Arc<AtomicU64>);

impl<A: Algorithm> Algorithm for Counting<A> {
    fn begin(&mut self, range: Range) {
        self.0.begin(range);
    }

    fn limit(&self) -> f64 {
        self.0.limit()
    }

    fn admitted(&mut self, call: &Admitted) -> Option<u64> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.admitted(call)
    }

    fn ended(&mut self, call: &Ended) {
        self.0.ended(call);
    }
}

#[test]
fn the_same_seed_is_the_same_run_and_another_is_not() {
    let workload = troubled(Cancellation::Ignored);
    let run = |seed| workload.run(seed, |_| Box::new(Cohort::new()));
    let told = |trial: &Trial| format!("{trial:?}");
    assert_eq!(told(&run(5)), told(&run(5)));
    assert_ne!(told(&run(5)), told(&run(6)));
}

/// Whether each request that was admitted failed at once, by when it was made.
#[derive(Clone, Debug, Default)]
struct Fates(f64, Vec<Instant>, Arc<Mutex<BTreeMap<Instant, bool>>>);

impl Algorithm for Fates {
    fn limit(&self) -> f64 {
        self.0
    }

    fn admitted(&mut self, call: &Admitted) -> Option<u64> {
        self.1.push(call.now);
        Some(self.1.len() as u64 - 1)
    }

    fn ended(&mut self, call: &Ended) {
        let asked = self.1[usize::try_from(call.mark).unwrap()];
        self.2.lock().unwrap().insert(asked, call.outcome == Outcome::Unknown);
    }
}

#[test]
fn limits_that_admit_others_are_asked_the_same() {
    let workload = Workload::new(exponential(8, ms(10)), 1.5).fast_errors(0.2).run_for(secs(20));
    let run = |limit| {
        let fates = Fates(limit, Vec::new(), Arc::default());
        let trial = workload.run(1, |_| Box::new(fates.clone()));
        let seen = fates.2.lock().unwrap().clone();
        (trial.refused() + trial.ends().admitted(), seen)
    };
    let (narrow, wide) = (run(4.0), run(400.0));
    assert_eq!(narrow.0, wide.0, "as often");
    // Each run begins at an instant of its own.
    let of = |fates: &BTreeMap<Instant, bool>| {
        let start = *fates.keys().next().unwrap();
        fates.iter().map(|(at, fails)| (*at - start, *fails)).collect::<BTreeMap<_, _>>()
    };
    let (narrow, wide) = (of(&narrow.1), of(&wide.1));
    let common: Vec<_> = narrow.iter().filter_map(|(at, f)| Some((f, wide.get(at)?))).collect();
    assert!(common.len() > narrow.len() / 3 && common.len() < wide.len() * 9 / 10);
    assert!(common.iter().all(|(narrow, wide)| narrow == wide), "and the same");
}

#[test]
fn fast_errors_take_the_round_trip_and_no_work() {
    let server = Server::workers(1, Latency::fixed(ms(10)));
    let mut workload = Workload::new(server, 3.0).network(ms(4)).fast_errors(0.8).run_for(secs(60));
    workload.deadline = secs(1);
    let (trial, seen) = witnessed(&workload);
    let failed: Vec<_> = seen.iter().filter(|(_, outcome)| *outcome == Outcome::Unknown).collect();
    assert!(failed.iter().all(|(latency, _)| latency.abs_diff(ms(4)) < ms(1) / 1000));
    let ends = trial.ends();
    assert_eq!(ends.failed, failed.len() as u64);
    close("their share", ends.failed as f64 / ends.admitted() as f64, 0.8, 0.02);
    // Three times too much, and a fifth of it is work.
    close("goodput", trial.goodput(), 60.0, 0.05);
}

#[test]
fn clients_that_wait_keep_the_limit_full_and_are_refused_once_each() {
    let workload = Workload::new(exponential(10, ms(10)), 1.0)
        .callers(vec![Caller::new(Demand::Waiting(50))])
        .deadline(NEVER);
    let trial = with_limit(&workload, 4);
    // Four of ten workers, never idle.
    close("goodput", trial.goodput(), 400.0, 0.02);
    assert_eq!(trial.ends().unfinished, 4);
    assert_eq!(trial.refused(), 46, "once, when they came");
    let trial = with_limit(&workload, 30);
    close("all workers", trial.goodput(), 1000.0, 0.02);
    assert_eq!(trial.refused(), 20);
}

#[test]
fn clients_whose_calls_fail_at_once_let_time_pass() {
    let on = Workload::SERVER;
    let workload = Workload::new(exponential(10, ms(10)), 1.0)
        .callers(vec![Caller::new(Demand::Waiting(50))])
        .faults(Faults::new().crash(on, Duration::ZERO, secs(1)))
        .run_for(secs(2));
    let trial = with_limit(&workload, 60);
    assert_eq!(trial.ends().failed, 50 * 1000, "each once in a millisecond");
    assert!(trial.goodput_between(secs(1), secs(2)) > 900.0);
}

#[test]
fn users_come_back_after_their_pause_whether_answered_or_refused() {
    // By the law of the response time: users = rate * (latency + pause).
    let server = Server::workers(1000, Latency::fixed(ms(40)));
    let workload = Workload::new(server, 1.0)
        .callers(vec![Caller::new(Demand::Returning(100, ms(60)))])
        .run_for(secs(20));
    let trial = with_limit(&workload, 1000);
    close("answered", trial.goodput(), 1000.0, 0.01);
    let trial = with_limit(&workload, 10);
    // Ten are answered each 40 ms, but for when nobody has just come; the others ask each 60 ms.
    let all = trial.refused() as f64 * 0.060 + trial.ends().answered as f64 * 0.100;
    close("each is refused, pauses, or is served", all, 100.0 * 20.0, 0.01);
    assert!(trial.refused() > 10_000);
}

#[test]
fn who_joins_late_asks_for_nothing_before() {
    let each = || Caller::new(Demand::Open(vec![(secs(0), 100.0)]));
    let workload = Workload::new(exponential(10, ms(10)), 1.0)
        .callers(vec![
            each(),
            each().joins(secs(5)),
            Caller::new(Demand::Waiting(1)).joins(secs(8)),
        ])
        .deadline(secs(1))
        .run_for(secs(10));
    let trial = with_limit(&workload, 20);
    let sum = |caller: usize, slices: std::ops::Range<usize>| {
        trial.good[caller][slices].iter().sum::<u32>()
    };
    assert_eq!((sum(1, 0..50), sum(2, 0..80)), (0, 0));
    assert!(sum(1, 50..100).abs_diff(500) < 70 && sum(2, 80..100) > 100);
    assert!(trial.jain(secs(9)) > trial.jain(Duration::ZERO));
}

#[test]
fn a_server_whose_line_is_full_says_so() {
    // M/M/4/10: six wait in line.
    let workload = Workload::new(exponential(4, ms(10)).queue(6), 1.2).deadline(NEVER);
    let (trial, seen) = witnessed(&workload);
    let lost = states(4, 10, 4.8)[10];
    let ends = trial.ends();
    close("turned away", ends.overloaded as f64 / ends.admitted() as f64, lost, 0.03);
    let turned_away = seen.iter().filter(|(_, outcome)| *outcome == Outcome::Overloaded);
    assert_eq!(turned_away.count() as u64, ends.overloaded);
}

#[test]
fn who_is_never_answered_times_out() {
    let on = Workload::SERVER;
    let all = |faults: Faults| {
        let server = Server::workers(10, Latency::fixed(ms(10)));
        let workload = Workload::new(server, 0.2).deadline(ms(30)).faults(faults).run_for(secs(10));
        with_limit(&workload, 100)
    };
    let (second, rest) = (secs(1), secs(9));
    for faults in [
        Faults::new().silence(on, second, rest),
        Faults::new().partition(on, second, rest),
        Faults::new().lose_replies(on, 1.0, second, rest),
    ] {
        let trial = all(faults);
        let ends = trial.ends();
        assert!(trial.goodput_between(ms(0), second) > 150.0);
        assert!(trial.goodput_between(ms(1100), secs(10)) < 1e-9, "{ends:?}");
        assert!(ends.timed_out > 1500 && ends.failed == 0, "{ends:?}");
    }
    let ends = all(Faults::new().lose_replies(on, 0.5, ms(0), secs(10))).ends();
    close("half of them", ends.timed_out as f64 / ends.admitted() as f64, 0.5, 0.06);
    let ends = all(Faults::new().crash(on, second, rest)).ends();
    assert!(ends.failed > 1500 && ends.timed_out == 0, "who is down says so: {ends:?}");
    // Before the first answer: only what is sent gets lost.
    let gap = Faults::new().partition(on, ms(0), ms(5));
    let short = Workload::new(Server::workers(1000, Latency::fixed(ms(10))), 0.2).faults(gap);
    assert!(with_limit(&short.run_for(secs(1)), 5000).ends().timed_out.abs_diff(100) < 30);
}

#[test]
fn work_whose_caller_has_gone_is_done_or_stops() {
    // One in two takes longer than anybody waits.
    let server = Server::workers(4, Latency::bimodal(ms(10), ms(1000), 0.5));
    let run = |cancellation| {
        let server = server.clone().cancellation(cancellation);
        with_limit(&Workload::new(server, 40.0).deadline(ms(40)).run_for(secs(60)), 4).goodput()
    };
    // Erlang's loss formula, of 25 ms in the mean: half of those that get in are good.
    let rate = 40.0 * server.capacity();
    let lost = states(4, 4, rate * 0.025)[4];
    close("it stops", run(Cancellation::Stops), rate * (1.0 - lost) / 2.0, 0.02);
    assert!(run(Cancellation::Ignored) < 12.0, "the workers are at it for a second each");
}
