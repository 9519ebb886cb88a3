//! The station against a naive one, which ages every job by itself.

#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::faults::{Condition, Down};
use super::latency::Latency;
use super::server::{QueueDiscipline, Server};
use super::station::{Done, Refused, Station, Ticket};

#[derive(Clone, Debug)]
enum Op {
    Arrive,
    Cancel(prop::sample::Index),
    Pass(f64),
    Speed(f64),
    Workers(f64),
    Crash,
    Back,
}

/// A list of jobs in work and a line: at each step, all who are in work age.
struct Naive {
    server: Server,
    condition: Condition,
    now: f64,
    running: Vec<(Ticket, f64)>,
    line: Vec<(Ticket, f64)>,
    ended: Vec<(Ticket, Done)>,
}

impl Naive {
    fn limit(&self) -> usize {
        (f64::from(self.server.workers) * self.condition.workers + 1e-6) as usize
    }

    fn rate(&self) -> f64 {
        self.condition.speed / self.server.slowdown(self.running.len() as f64)
    }

    fn fill(&mut self) {
        while self.running.len() < self.limit() && !self.line.is_empty() {
            let next = match self.server.discipline {
                QueueDiscipline::Fifo => self.line.remove(0),
                QueueDiscipline::Lifo => self.line.pop().unwrap(),
            };
            self.running.push(next);
        }
    }

    fn pass(&mut self, until: f64) {
        loop {
            let rate = self.rate();
            let least = self.running.iter().map(|job| job.1).fold(f64::INFINITY, f64::min);
            let step = if rate > 0.0 { least / rate } else { f64::INFINITY };
            if self.now + step > until {
                let aged = (until - self.now) * rate;
                self.running.iter_mut().for_each(|job| job.1 -= aged);
                self.now = until;
                return;
            }
            self.running.iter_mut().for_each(|job| job.1 -= least);
            self.now += step;
            let first = self.running.iter().position(|job| job.1 <= 0.0).unwrap();
            let (ticket, _) = self.running.remove(first);
            self.ended.push((ticket, Done::Completed));
            self.fill();
        }
    }

    fn lose(&mut self) {
        let all = self.running.drain(..).chain(self.line.drain(..));
        let mut lost: Vec<_> = all.map(|job| (job.0, Done::Reset)).collect();
        lost.sort_by_key(|job| job.0);
        self.ended.extend(lost);
    }
}

/// Both, side by side. All work takes as long as the one before and a little more, so that no two
/// end at once, and both draw the same.
struct Twins {
    station: Station,
    naive: Naive,
    ended: Vec<(Ticket, Done)>,
    jobs: Vec<(Ticket, super::station::Job)>,
    next: Ticket,
}

impl Twins {
    fn new(server: &Server) -> Self {
        let naive = Naive {
            server: server.clone(),
            condition: Condition::SOUND,
            now: 0.0,
            running: Vec::new(),
            line: Vec::new(),
            ended: Vec::new(),
        };
        let station = Station::new(server.clone(), 1);
        Self { station, naive, ended: Vec::new(), jobs: Vec::new(), next: 0 }
    }

    fn apply(&mut self, op: &Op) {
        let now = self.naive.now;
        match op {
            Op::Arrive => self.arrive(now),
            Op::Pass(wait) => {
                self.naive.pass(now + wait);
                self.station.advance(now + wait, &mut self.ended);
            }
            Op::Cancel(which) if !self.jobs.is_empty() => {
                let (ticket, job) = *which.get(&self.jobs);
                let before = self.naive.running.len() + self.naive.line.len();
                self.naive.running.retain(|job| job.0 != ticket);
                self.naive.line.retain(|job| job.0 != ticket);
                self.naive.fill();
                let stopped = self.station.cancel(job, now, &mut self.ended);
                let after = self.naive.running.len() + self.naive.line.len();
                assert_eq!(stopped, after < before, "cancelled exactly while it was there");
            }
            Op::Cancel(_) => {}
            Op::Speed(speed) => self.change(Condition { speed: *speed, ..self.naive.condition }),
            Op::Workers(workers) => {
                self.change(Condition { workers: *workers, ..self.naive.condition });
            }
            Op::Crash => {
                self.naive.lose();
                self.change(Condition { down: Some(Down::Refusing), ..self.naive.condition });
            }
            Op::Back => self.change(Condition { down: None, ..self.naive.condition }),
        }
        self.compare();
    }

    fn arrive(&mut self, now: f64) {
        let ticket = self.next;
        self.next += 1;
        let arrived = self.station.arrive(ticket, now, &mut self.ended);
        let free = self.naive.running.len() < self.naive.limit();
        let full = self.naive.server.queue.is_some_and(|len| self.naive.line.len() >= len);
        let work = self.naive.server.latency.mean().as_nanos() as f64;
        match arrived {
            Err(refused) if self.naive.condition.down.is_some() => {
                assert_eq!(refused, Refused::Unreachable);
            }
            Err(refused) => {
                assert_eq!(refused, Refused::LineFull);
                assert!(!free && full, "refused though there was room");
            }
            Ok(job) => {
                assert!(self.naive.condition.down.is_none() && (free || !full));
                self.jobs.push((ticket, job));
                if free {
                    self.naive.running.push((ticket, work));
                } else {
                    self.naive.line.push((ticket, work));
                }
            }
        }
    }

    fn change(&mut self, condition: Condition) {
        self.station.change(condition, self.naive.now, &mut self.ended);
        self.naive.condition = condition;
        self.naive.fill();
    }

    fn compare(&mut self) {
        let (busy, waiting) = self.station.load();
        let naive = (self.naive.running.len(), self.naive.line.len());
        assert_eq!((busy as usize, waiting), naive, "in work, in line");
        let sorted = |ended: &[(Ticket, Done)]| {
            let mut ended = ended.to_vec();
            ended.sort_by_key(|job| job.0);
            ended
        };
        assert_eq!(sorted(&self.ended), sorted(&self.naive.ended));
    }
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => Just(Op::Arrive),
        2 => any::<prop::sample::Index>().prop_map(Op::Cancel),
        // Off every sum of service times, so that no rounding decides what ended.
        5 => (1_u32..40).prop_map(|n| Op::Pass(f64::from(n) * 7.3e5 + 0.123)),
        1 => prop_oneof![Just(0.0), Just(0.1), Just(1.0)].prop_map(Op::Speed),
        1 => prop_oneof![Just(0.0), Just(0.5), Just(1.0)].prop_map(Op::Workers),
        1 => Just(Op::Crash),
        2 => Just(Op::Back),
    ];
    vec(op, 1..120)
}

proptest! {
    #[test]
    fn station_matches_one_that_ages_every_job(
        ops in ops(),
        workers in 1_u32..6,
        queue in prop::option::of(0_usize..6),
        lifo in any::<bool>(),
        contention in prop_oneof![Just(0.0), Just(0.05)],
        coherency in prop_oneof![Just(0.0), Just(0.01)],
    ) {
        let mut server = Server::workers(workers, Latency::fixed(Duration::from_micros(9_999)));
        server.queue = queue;
        server.contention = contention;
        server.coherency = coherency;
        if lifo {
            server.discipline = QueueDiscipline::Lifo;
        }
        let mut twins = Twins::new(&server);
        for op in &ops {
            twins.apply(op);
        }
    }
}
