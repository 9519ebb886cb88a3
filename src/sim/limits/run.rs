//! The event loop that takes a workload and its limits through time.
//!
//! Not the one of [`Sim`](crate::sim::Sim): a limit is tried on hundreds of workloads, beside a
//! dozen static ones each, and calls of two milliseconds need a clock finer than the timers of
//! tokio. So no tasks and no timers here: the same [`Station`], and the algorithm behind the few
//! lines that the layer puts before it. That the layer does the same in a [`Sim`](crate::sim::Sim)
//! is tested.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::gate::{Gate, Pass};
use super::trial::Trial;
use super::workload::{self, Caller, Demand, Workload};
use crate::adaptive_limit::{Algorithm, Outcome};
use crate::rng::Rng;
use crate::sim::faults::Condition;
use crate::sim::latency::exponential;
use crate::sim::server::Cancellation;
use crate::sim::station::{Done, Job, Refused, Station, Ticket};

impl Workload {
    /// Takes the callers, each with the algorithm that `algorithm` makes for it, through the
    /// workload. The same seed brings the same requests, and the same work of the server for them.
    #[must_use]
    pub fn run(&self, seed: u64, algorithm: impl FnMut(usize) -> Box<dyn Algorithm>) -> Trial {
        let mut run = Run::new(self, seed, algorithm);
        run.begin();
        while run.step() {}
        run.trial
    }
}

struct Run<'a> {
    workload: &'a Workload,
    start: Instant,
    /// In nanoseconds, as all times here.
    now: f64,
    end: f64,
    deadline: f64,
    station: Station,
    ended: Vec<(Ticket, Done)>,
    sides: Vec<Side<'a>>,
    events: BinaryHeap<Reverse<Event>>,
    scheduled: u64,
    calls: Vec<Call>,
    free: Vec<u32>,
    /// All callers wait equally long, so their deadlines come in the order of the calls.
    deadlines: VecDeque<(f64, u32, u64)>,
    admitted: u64,
    slice: f64,
    trial: Trial,
}

/// A caller at work.
struct Side<'a> {
    caller: &'a Caller,
    gate: Gate,
    arrivals: Rng,
    /// Drawn for each request that is made, so that limits that admit others fare alike.
    fates: Rng,
    /// Clients that wait in front.
    waiting: u32,
}

#[derive(Clone, Copy)]
struct Call {
    number: u64,
    side: usize,
    since: f64,
    /// `None` once the caller has gone.
    pass: Option<Pass>,
    job: Option<Job>,
    /// Nobody will answer.
    lost: bool,
}

#[derive(Clone, Copy, Debug)]
struct Event {
    at: f64,
    order: u64,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    /// A caller asks.
    Ask(usize),
    /// A request reaches the server.
    Reach(u32),
    /// An answer reaches its caller.
    Answer(u32, Reply),
    /// Faults begin or end.
    Change,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Reply {
    Good,
    Overloaded,
    Failed,
}

impl<'a> Run<'a> {
    fn new(
        workload: &'a Workload,
        seed: u64,
        mut algorithm: impl FnMut(usize) -> Box<dyn Algorithm>,
    ) -> Self {
        let mut seeds = Rng::new(Some(seed));
        let station = Station::new(workload.server.clone(), seeds.bits());
        let side = |(index, caller)| Side {
            caller,
            gate: Gate::new(algorithm(index)),
            arrivals: Rng::new(Some(seeds.bits())),
            fates: Rng::new(Some(seeds.bits())),
            waiting: 0,
        };
        let sides: Vec<_> = workload.callers.iter().enumerate().map(side).collect();
        let slices = nanos(workload.run_for) / nanos(Trial::SLICE);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let trial = Trial {
            run_for: workload.run_for,
            good: vec![vec![0; slices.ceil() as usize]; sides.len()],
            latencies: Vec::new(),
            limits: vec![Vec::new(); sides.len()],
            refused: 0,
        };
        Self {
            workload,
            start: crate::time::now(),
            now: 0.0,
            end: nanos(workload.run_for),
            deadline: nanos(workload.deadline),
            station,
            ended: Vec::new(),
            sides,
            events: BinaryHeap::new(),
            scheduled: 0,
            calls: Vec::new(),
            free: Vec::new(),
            deadlines: VecDeque::new(),
            admitted: 0,
            slice: 0.0,
            trial,
        }
    }

    fn begin(&mut self) {
        for fault in &self.workload.faults.0 {
            self.schedule(nanos(fault.from), What::Change);
            self.schedule(nanos(fault.until()), What::Change);
        }
        for side in 0..self.sides.len() {
            let joins = nanos(self.sides[side].caller.joins);
            match self.sides[side].caller.demand {
                Demand::Open(_) => self.schedule_arrival(side, joins),
                Demand::Waiting(clients) | Demand::Returning(clients, _) => {
                    for _ in 0..clients {
                        self.schedule(joins, What::Ask(side));
                    }
                }
            }
        }
    }

    /// One event. `false` at the end.
    fn step(&mut self) -> bool {
        let event = self.events.peek().map_or(f64::INFINITY, |Reverse(event)| event.at);
        let done = self.station.next().unwrap_or(f64::INFINITY);
        let late = self.deadlines.front().map_or(f64::INFINITY, |(at, ..)| *at);
        let now = event.min(done).min(late);
        if now >= self.end {
            self.note_limits(self.end);
            return false;
        }
        self.note_limits(now);
        self.now = now;
        if done <= now {
            self.station.advance(now, &mut self.ended);
        } else if late <= now {
            self.give_up();
        } else if let Some(Reverse(event)) = self.events.pop() {
            match event.what {
                What::Ask(side) => self.ask(side),
                What::Reach(call) => self.reach(call),
                What::Answer(call, reply) => self.answer(call, reply),
                What::Change => self.change(),
            }
        }
        self.send_answers();
        true
    }

    fn note_limits(&mut self, until: f64) {
        while self.slice <= until {
            for (limits, side) in self.trial.limits.iter_mut().zip(&self.sides) {
                limits.push(side.gate.limit());
            }
            self.slice += nanos(Trial::SLICE);
        }
    }

    fn ask(&mut self, side: usize) {
        if let Demand::Open(_) = self.sides[side].caller.demand {
            self.schedule_arrival(side, self.now);
        }
        let (now, failing) = (self.instant(), self.workload.fast_errors);
        let fails = failing > 0.0 && self.sides[side].fates.fraction() < failing;
        match self.sides[side].gate.try_enter(now) {
            Some(pass) => self.send(side, pass, fails),
            None => self.refuse(side),
        }
    }

    fn refuse(&mut self, side: usize) {
        self.trial.refused += 1;
        match self.sides[side].caller.demand {
            Demand::Open(_) => {}
            Demand::Waiting(_) => self.sides[side].waiting += 1,
            Demand::Returning(_, pause) => {
                self.schedule(self.now + nanos(pause), What::Ask(side));
            }
        }
    }

    fn send(&mut self, side: usize, pass: Pass, fails: bool) {
        self.admitted += 1;
        let number = self.admitted;
        let call = Call { number, side, since: self.now, pass: Some(pass), job: None, lost: false };
        let index = self.free.pop().unwrap_or_else(|| {
            self.calls.push(call);
            u32::try_from(self.calls.len() - 1).expect("fewer than 2^32 calls at once")
        });
        self.calls[index as usize] = call;
        self.deadlines.push_back((self.now + self.deadline, index, number));
        let way = self.way(side);
        if fails {
            self.schedule(self.now + 2.0 * way, What::Answer(index, Reply::Failed));
        } else {
            self.schedule(self.now + way, What::Reach(index));
        }
    }

    fn reach(&mut self, index: u32) {
        let call = self.calls[index as usize];
        if call.pass.is_none() && self.workload.server.cancellation == Cancellation::Stops {
            self.free.push(index);
            return;
        }
        let reply = match self.station.arrive(index, self.now, &mut self.ended) {
            Ok(job) => {
                self.calls[index as usize].job = Some(job);
                return;
            }
            Err(Refused::Silent) => return self.forget(index),
            Err(Refused::Unreachable) => Reply::Failed,
            Err(Refused::LineFull) => Reply::Overloaded,
        };
        self.schedule(self.now + self.way(call.side), What::Answer(index, reply));
    }

    /// What the server has done goes on its way.
    fn send_answers(&mut self) {
        let mut ended = std::mem::take(&mut self.ended);
        for (index, done) in ended.drain(..) {
            self.calls[index as usize].job = None;
            let reply = match done {
                Done::Completed => Reply::Good,
                Done::Failed | Done::Reset => Reply::Failed,
                Done::Silent => {
                    self.forget(index);
                    continue;
                }
            };
            let way = self.way(self.calls[index as usize].side);
            self.schedule(self.now + way, What::Answer(index, reply));
        }
        self.ended = ended;
    }

    fn answer(&mut self, index: u32, reply: Reply) {
        let call = &mut self.calls[index as usize];
        let pass = call.pass.take();
        self.free.push(index);
        if let Some(pass) = pass {
            let outcome = match reply {
                Reply::Good => Outcome::Answered,
                Reply::Overloaded => Outcome::Overloaded,
                Reply::Failed => Outcome::Unknown,
            };
            self.settle(index, pass, outcome, reply == Reply::Good);
        }
    }

    /// The caller who has waited longest waits no more.
    fn give_up(&mut self) {
        let Some((_, index, number)) = self.deadlines.pop_front() else { return };
        let call = &mut self.calls[index as usize];
        if call.number != number {
            return;
        }
        let Some(pass) = call.pass.take() else { return };
        if call.lost {
            self.free.push(index);
        } else if self.workload.server.cancellation == Cancellation::Stops
            && let Some(job) = call.job.take()
        {
            self.station.cancel(job, self.now, &mut self.ended);
            self.free.push(index);
        }
        self.settle(index, pass, Outcome::TimedOut, false);
    }

    fn settle(&mut self, index: u32, pass: Pass, outcome: Outcome, good: bool) {
        let Call { side, since, .. } = self.calls[index as usize];
        let took = self.now - since;
        if good {
            self.count(side);
        }
        if matches!(outcome, Outcome::Answered | Outcome::TimedOut) {
            #[allow(clippy::cast_possible_truncation)] // Seven digits will do.
            self.trial.latencies.push(took as f32);
        }
        let now = self.instant();
        self.sides[side].gate.leave(pass, now, span(took), outcome);
        match self.sides[side].caller.demand {
            Demand::Open(_) => {}
            // Behind those who wait already.
            Demand::Waiting(_) => self.sides[side].waiting += 1,
            Demand::Returning(_, pause) => self.schedule(self.now + nanos(pause), What::Ask(side)),
        }
        self.let_in(side);
    }

    fn let_in(&mut self, side: usize) {
        let now = self.instant();
        while self.sides[side].waiting > 0 {
            let Some(pass) = self.sides[side].gate.try_enter(now) else { return };
            self.sides[side].waiting -= 1;
            self.send(side, pass, false);
        }
    }

    fn count(&mut self, side: usize) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let slice = (self.now / nanos(Trial::SLICE)) as usize;
        self.trial.good[side][slice] += 1;
    }

    /// Nobody will answer. The place is free once its caller has gone.
    fn forget(&mut self, index: u32) {
        let call = &mut self.calls[index as usize];
        call.lost = true;
        if call.pass.is_none() {
            self.free.push(index);
        }
    }

    fn change(&mut self) {
        let at = Duration::from_secs_f64(self.now / 1e9);
        let condition = Condition::at(&self.workload.faults, Workload::SERVER, at);
        self.station.change(condition, self.now, &mut self.ended);
    }

    fn schedule_arrival(&mut self, side: usize, from: f64) {
        let Side { caller, arrivals, .. } = &mut self.sides[side];
        let Demand::Open(steps) = &caller.demand else { return };
        // In units of what is expected: a rate that changes takes the rest along.
        let (mut left, mut at) = (exponential(arrivals), from);
        loop {
            let rate = workload::at(steps, at).unwrap_or(0.0) / 1e9;
            let next = steps.iter().map(|(begin, _)| nanos(*begin)).find(|begin| *begin > at);
            let until = next.unwrap_or(f64::INFINITY);
            if rate * (until - at) > left {
                at += left / rate;
                break;
            }
            if until.is_infinite() {
                return;
            }
            left -= rate * (until - at);
            at = until;
        }
        self.schedule(at, What::Ask(side));
    }

    fn schedule(&mut self, at: f64, what: What) {
        self.scheduled += 1;
        if at < self.end {
            self.events.push(Reverse(Event { at, order: self.scheduled, what }));
        }
    }

    /// One way, which is half of there and back.
    fn way(&self, side: usize) -> f64 {
        workload::at(&self.sides[side].caller.network, self.now).map_or(0.0, nanos) / 2.0
    }

    fn instant(&self) -> Instant {
        self.start + span(self.now)
    }
}

fn nanos(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}

fn span(nanos: f64) -> Duration {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Duration::from_nanos(nanos.max(0.0) as u64)
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.total_cmp(&other.at).then(self.order.cmp(&other.order))
    }
}
