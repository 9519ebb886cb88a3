//! What the algorithm does, step by step, against services of one line each.

#![allow(clippy::float_cmp, reason = "figures that are exact")]

use std::time::Duration;

use super::*;
use crate::adaptive_limit::Outcome;
use crate::time;

const MS: Duration = Duration::from_millis(1);

/// Calls that come one after another, `gap` apart, to a service that is told how many are in
/// flight and says how long the call takes; beyond the limit they are refused.
struct Bench {
    cohort: Cohort,
    now: Instant,
    /// Ends, marks and latencies of the calls in flight, the next one last.
    running: Vec<(Instant, Option<u64>, Duration)>,
    pressed: bool,
    refused: u32,
    outcome: fn(Duration) -> Outcome,
}

impl Bench {
    fn new() -> Self {
        let mut cohort = Cohort::new();
        cohort.begin(Range { min: 1, max: 1000, initial: None });
        let (now, running) = (time::now(), Vec::new());
        Self { cohort, now, running, pressed: false, refused: 0, outcome: |_| Outcome::Answered }
    }

    fn limit(&self) -> f64 {
        self.cohort.limit()
    }

    /// A call every `gap` for `lasting`.
    fn run(&mut self, lasting: Duration, gap: Duration, takes: impl Fn(usize) -> Duration) {
        let end = self.now + lasting;
        while self.now < end {
            self.now += gap;
            self.finish();
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let limit = self.limit() as usize;
            if self.running.len() >= limit {
                (self.pressed, self.cohort.gap) = (true, 0);
                self.refused += 1;
                continue;
            }
            let takes = takes(self.running.len() + 1);
            let in_flight = self.running.len() + 1;
            let mark = if self.cohort.skip() > 0 && self.cohort.gap > 0 {
                self.cohort.gap -= 1;
                None
            } else {
                self.cohort.admitted(&Admitted { now: self.now, in_flight })
            };
            self.running.push((self.now + takes, mark, takes));
            self.running.sort_by_key(|(end, ..)| std::cmp::Reverse(*end));
        }
    }

    fn finish(&mut self) {
        while let Some((end, mark, latency)) = self.running.pop() {
            if end > self.now {
                return self.running.push((end, mark, latency));
            }
            if let Some(mark) = mark {
                let (in_flight, outcome) = (self.running.len(), (self.outcome)(latency));
                let pressed = std::mem::take(&mut self.pressed);
                let call = Ended { now: end, latency, outcome, in_flight, pressed, mark };
                self.cohort.ended(&call);
            }
        }
    }
}

/// `workers` of them, 10 ms each: whoever is beyond waits.
fn workers(workers: usize) -> impl Fn(usize) -> Duration {
    #[allow(clippy::cast_precision_loss)]
    move |n| (10 * MS).mul_f64((n as f64 / workers as f64).max(1.0))
}

/// After ten seconds at twice what 20 workers can do.
fn pressed() -> Bench {
    let mut bench = Bench::new();
    bench.run(Duration::from_secs(10), MS / 4, workers(20));
    bench
}

#[test]
fn it_starts_at_8_and_doubles_until_there_is_a_queue() {
    let mut bench = Bench::new();
    assert_eq!(bench.limit(), 8.0);
    let mut seen = vec![8.0];
    for _ in 0..40 {
        bench.run(5 * MS, MS / 4, workers(200));
        if seen.last() != Some(&bench.limit()) {
            seen.push(bench.limit());
        }
    }
    assert!(seen.starts_with(&[8.0, 16.0, 32.0]), "{seen:?}");
}

#[test]
fn under_load_it_keeps_the_queue_of_its_target() {
    let bench = pressed();
    // 20 at work, and a queue of 1.2 * sqrt(27) + 0.05 * 27 = 7.6.
    assert!((24.0..34.0).contains(&bench.cohort.usual_limit()), "{}", bench.cohort.usual_limit());
    assert!(bench.refused > 1000);
}

#[test]
fn it_grows_only_if_somebody_was_refused() {
    let mut bench = Bench::new();
    // Four in flight, of eight.
    bench.run(Duration::from_secs(60), 5 * MS / 2, workers(100));
    assert_eq!((bench.limit(), bench.refused), (8.0, 0));
}

#[test]
fn ten_idle_minutes_leave_the_limit_where_it_was_pressed_last() {
    let mut bench = pressed();
    bench.run(Duration::from_secs(1), 8 * MS, workers(20));
    let limit = bench.limit();
    bench.run(Duration::from_secs(600), 100 * MS, workers(20));
    assert_eq!(bench.limit(), limit);
}

#[test]
fn of_the_calls_under_a_limit_that_is_not_in_use_one_in_eight_is_timed() {
    let mut bench = Bench::new();
    bench.run(Duration::from_secs(5), MS, |_| MS / 2);
    let before = bench.cohort.members.as_ref().map_or(0, Members::number);
    bench.run(Duration::from_secs(16), MS, |_| MS / 2);
    let cohorts = bench.cohort.members.as_ref().map_or(0, Members::number) - before;
    // 16,000 calls, in cohorts of 8 (it has not left the start) or 24.
    assert!(cohorts > 0 && cohorts <= 16_000 / 8, "{cohorts}");
}

#[test]
fn a_service_that_becomes_slower_is_not_taken_for_a_queue() {
    let mut bench = pressed();
    let slower = |n: usize| 4 * workers(20)(n);
    bench.run(Duration::from_secs(10), MS / 4, slower);
    let limit = bench.cohort.usual_limit();
    assert!((22.0..40.0).contains(&limit), "{limit}: the workers are as many as before");
    assert!(bench.cohort.no_load() > 0.03, "{}", bench.cohort.no_load());
}

#[test]
fn a_service_that_becomes_faster_is_seen_at_once() {
    let mut bench = pressed();
    bench.run(Duration::from_secs(1), MS / 16, |n| workers(20)(n) / 4);
    assert!(bench.cohort.no_load() < 0.006, "{}", bench.cohort.no_load());
}

#[test]
fn overload_answers_cut_the_limit_by_half_their_share() {
    let mut steps = Steps::new();
    steps.set(100.0);
    let shown = Shown { overloads: 40.0, members: 100.0, n: 90.0, ..Shown::default() };
    assert!(steps.overloaded(&shown));
    assert_eq!(steps.limit, 80.0);
    let few = Shown { overloads: 2.0, members: 10.0, ..Shown::default() };
    assert!(!steps.overloaded(&few), "three at least");
    let rare = Shown { overloads: 10.0, members: 100.0, ..Shown::default() };
    assert!(!steps.overloaded(&rare), "more than a tenth");
}

#[test]
fn after_a_blackout_it_doubles_back_to_where_it_was() {
    let mut bench = pressed();
    let before = bench.cohort.usual_limit();
    bench.outcome = |_| Outcome::TimedOut;
    bench.run(Duration::from_secs(3), MS / 4, |_| 100 * MS);
    assert!(bench.limit() <= before / 2.0, "{}", bench.limit());
    bench.outcome = |_| Outcome::Answered;
    bench.run(Duration::from_secs(1), MS / 4, workers(20));
    let after = bench.cohort.usual_limit();
    assert!(after > 0.8 * before, "{after} of {before}");
}

#[test]
fn during_a_dip_the_usual_limit_stays() {
    let mut bench = Bench::new();
    let mut dips = 0;
    for _ in 0..100_000 {
        bench.run(MS / 4, MS / 4, workers(20));
        if let Probe::Dip { back } = bench.cohort.probe
            && bench.limit() < back
        {
            dips += 1;
            assert_eq!(bench.cohort.usual_limit(), back);
            assert!(bench.limit() > 0.3 * back);
        }
    }
    assert!(dips > 10);
}

#[test]
fn strangers_change_nothing() {
    let mut bench = pressed();
    let before = bench.limit();
    for mark in [0, u64::MAX, 1 << 40] {
        let call = Ended::new(bench.now, 60 * MS, Outcome::TimedOut);
        bench.cohort.ended(&Ended { mark, ..call });
    }
    assert_eq!(bench.limit(), before);
}

#[test]
fn a_cohort_that_has_become_stale_is_thrown_away() {
    let mut cohort = Cohort::new();
    cohort.begin(Range { min: 1, max: 100, initial: Some(20) });
    let now = time::now();
    let old = cohort.admitted(&Admitted { now, in_flight: 1 });
    let later = now + Duration::from_secs(4000);
    let new = cohort.admitted(&Admitted { now: later, in_flight: 1 });
    assert!(old.is_some() && new.is_some());
    assert_ne!(old.map(|mark| mark >> 32), new.map(|mark| mark >> 32), "of another cohort");
}

#[test]
fn the_target_is_the_one_that_is_said() {
    assert!((reading::target(100.0) - (12.0 + 5.0)).abs() < 1e-9);
    assert_eq!(reading::target(0.0), 0.0);
}

#[test]
fn a_cohort_shows_means_and_counts_who_is_out_by_the_age_they_have() {
    let now = time::now();
    let mut members = Members::new(now);
    members.open(now, 3);
    let marks: Vec<_> = (1..=3).map(|n| members.admit(now, n)).collect();
    let end =
        |mark, latency| Ended { mark, ..Ended::new(now + latency, latency, Outcome::Answered) };
    assert!(members.end(&end(marks[0], 10 * MS)) && members.end(&end(marks[1], 40 * MS)));
    assert!(!members.end(&end(marks[1], 40 * MS)), "ended already");
    let shown = members.close(now + 80 * MS);
    assert_eq!((shown.members, shown.samples, shown.n, shown.least), (3.0, 3.0, 2.0, 1.0));
    // The geometric mean of 10, 40 and 80 ms.
    assert!((shown.g.exp() - 0.0317).abs() < 1e-4, "{}", shown.g.exp());
}
