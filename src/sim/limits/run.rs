//! The event loop that takes a workload and its limits through time.
//!
//! Not the one of [`Sim`](crate::sim::Sim): a limit is tried on hundreds of workloads, beside a
//! dozen static ones each, and calls of two milliseconds need a clock finer than the timers of
//! tokio. So no tasks and no timers here: the same [`Station`], and the algorithm behind the few
//! lines that the layer puts before it. That the layer does the same in a [`Sim`](crate::sim::Sim)
//! is tested.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::event::{Agenda, Reply, What, nanos, span};
use super::gate::{Gate, Pass};
use super::trial::Trial;
use super::workload::{Caller, Demand, Workload};
use crate::adaptive_limit::{Algorithm, Outcome};
use crate::rng::Rng;
use crate::sim::faults::Condition;
use crate::sim::host::cut;
use crate::sim::server::Cancellation;
use crate::sim::station::{Done, Job, Refused, Station, Ticket};

impl Workload {
    /// Takes the callers, each with the algorithm that `algorithm` makes for it, through the
    /// workload; it is handed the caller's index. The same seed brings the same requests whatever
    /// the limit, and with the same algorithm the same run, call by call.
    ///
    /// Each algorithm begins as in a layer without settings: any limit from 1 to 10 000, none to
    /// begin with.
    ///
    /// # Panics
    ///
    /// If the workload cannot be meant ([`Workload::validate`]), and where the algorithm panics.
    #[must_use]
    pub fn run(&self, seed: u64, algorithm: impl FnMut(usize) -> Box<dyn Algorithm>) -> Trial {
        if let Err(error) = self.validate() {
            panic!("{error}");
        }
        let mut run = Run::new(self, seed, algorithm);
        run.begin();
        while run.step() {}
        run.trial
    }
}

/// How long a client waits at least between two calls.
const AT_LEAST: Duration = Duration::from_millis(1);

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
    agenda: Agenda,
    calls: Vec<Call>,
    free: Vec<u32>,
    /// All callers wait equally long, so their deadlines come in the order of the calls.
    deadlines: VecDeque<(f64, u32, u64)>,
    /// Which replies get lost.
    wire: Rng,
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
        let wire = Rng::new(Some(seeds.bits()));
        let trial = Trial::new(workload.run_for, sides.len());
        Self {
            workload,
            start: crate::time::now(),
            now: 0.0,
            end: nanos(workload.run_for),
            deadline: nanos(workload.deadline),
            station,
            ended: Vec::new(),
            sides,
            agenda: Agenda::new(nanos(workload.run_for)),
            calls: Vec::new(),
            free: Vec::new(),
            deadlines: VecDeque::new(),
            wire,
            admitted: 0,
            slice: 0.0,
            trial,
        }
    }

    fn begin(&mut self) {
        for fault in &self.workload.faults.0 {
            self.agenda.enter(nanos(fault.from), What::Change);
            self.agenda.enter(nanos(fault.until()), What::Change);
        }
        for side in 0..self.sides.len() {
            let joins = nanos(self.sides[side].caller.joins);
            match self.sides[side].caller.demand {
                Demand::Open(_) => self.schedule_arrival(side, joins),
                Demand::Waiting(clients) | Demand::Returning(clients, _) => {
                    for _ in 0..clients {
                        self.agenda.enter(joins, What::Ask(side));
                    }
                }
            }
        }
    }

    /// One event. `false` at the end.
    fn step(&mut self) -> bool {
        let event = self.agenda.next().unwrap_or(f64::INFINITY);
        let done = self.station.next().unwrap_or(f64::INFINITY);
        let late = self.deadlines.front().map_or(f64::INFINITY, |(at, ..)| *at);
        let now = event.min(done).min(late);
        if now >= self.end {
            self.note_limits(self.end);
            let in_flight = |side: &Side| side.gate.in_flight() as u64;
            self.trial.ends.unfinished = self.sides.iter().map(in_flight).sum();
            return false;
        }
        self.note_limits(now);
        self.now = now;
        if done <= now {
            self.station.advance(now, &mut self.ended);
        } else if late <= now {
            self.give_up();
        } else if let Some(what) = self.agenda.pop() {
            match what {
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
        let fails = self.draw_fate(side);
        let now = self.instant();
        match self.sides[side].gate.try_enter(now) {
            Some(pass) => self.send(side, pass, fails),
            None => self.refuse(side),
        }
    }

    /// Whether this request is one that fails at once.
    fn draw_fate(&mut self, side: usize) -> bool {
        let failing = self.workload.fast_errors;
        failing > 0.0 && self.sides[side].fates.fraction() < failing
    }

    fn refuse(&mut self, side: usize) {
        self.trial.refused += 1;
        match self.sides[side].caller.demand {
            Demand::Open(_) => {}
            Demand::Waiting(_) => self.sides[side].waiting += 1,
            Demand::Returning(_, pause) => {
                self.agenda.enter(self.now + nanos(pause), What::Ask(side));
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
            self.agenda.enter(self.now + 2.0 * way, What::Answer(index, Reply::Failed));
        } else {
            self.agenda.enter(self.now + way, What::Reach(index));
        }
    }

    fn reach(&mut self, index: u32) {
        let call = self.calls[index as usize];
        if call.pass.is_none() && self.workload.server.cancellation == Cancellation::Stops {
            self.free.push(index);
            return;
        }
        if self.station.condition().partitioned {
            return self.forget(index);
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
        self.agenda.enter(self.now + self.way(call.side), What::Answer(index, reply));
    }

    /// What the server has done goes on its way.
    fn send_answers(&mut self) {
        let mut ended = std::mem::take(&mut self.ended);
        for (index, done) in ended.drain(..) {
            self.calls[index as usize].job = None;
            let reply = match done {
                _ if cut(self.station.condition(), &mut self.wire) => None,
                Done::Completed => Some(Reply::Good),
                Done::Failed | Done::Reset => Some(Reply::Failed),
                Done::Silent => None,
            };
            let Some(reply) = reply else {
                self.forget(index);
                continue;
            };
            let way = self.way(self.calls[index as usize].side);
            self.agenda.enter(self.now + way, What::Answer(index, reply));
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
            self.settle(index, pass, outcome);
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
        self.settle(index, pass, Outcome::TimedOut);
    }

    fn settle(&mut self, index: u32, pass: Pass, outcome: Outcome) {
        let Call { side, since, .. } = self.calls[index as usize];
        let took = self.now - since;
        self.count(outcome);
        if outcome == Outcome::Answered {
            self.count_good(side);
        }
        if matches!(outcome, Outcome::Answered | Outcome::TimedOut) {
            #[allow(clippy::cast_possible_truncation)] // Seven digits will do.
            self.trial.latencies.push(took as f32);
        }
        let now = self.instant();
        self.sides[side].gate.leave(pass, now, span(took), outcome);
        match self.sides[side].caller.demand {
            Demand::Open(_) => {}
            // Or a client whose calls fail in no time would never let time pass.
            Demand::Waiting(_) if took <= 0.0 => {
                self.agenda.enter(self.now + nanos(AT_LEAST), What::Ask(side));
            }
            // Behind those who wait already.
            Demand::Waiting(_) => self.sides[side].waiting += 1,
            Demand::Returning(_, pause) => {
                self.agenda.enter(self.now + nanos(pause), What::Ask(side));
            }
        }
        self.let_in(side);
    }

    fn let_in(&mut self, side: usize) {
        let now = self.instant();
        while self.sides[side].waiting > 0 {
            let Some(pass) = self.sides[side].gate.try_enter(now) else { return };
            self.sides[side].waiting -= 1;
            let fails = self.draw_fate(side);
            self.send(side, pass, fails);
        }
    }

    fn count(&mut self, outcome: Outcome) {
        let ends = &mut self.trial.ends;
        *match outcome {
            Outcome::Answered => &mut ends.answered,
            Outcome::TimedOut => &mut ends.timed_out,
            Outcome::Overloaded => &mut ends.overloaded,
            Outcome::Unknown => &mut ends.failed,
        } += 1;
    }

    fn count_good(&mut self, side: usize) {
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
        if let Some(at) = caller.next_arrival(from, arrivals) {
            self.agenda.enter(at, What::Ask(side));
        }
    }

    /// One way, which is half of there and back.
    fn way(&self, side: usize) -> f64 {
        self.sides[side].caller.round_trip(self.now) / 2.0
    }

    fn instant(&self) -> Instant {
        self.start + span(self.now)
    }
}
