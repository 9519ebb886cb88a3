//! The server model as a machine: handed the time, it owns no clock and no lock.
//!
//! All requests in work progress at one rate, so one running total of it, `progress`, says when
//! each is done: at the total when it began, plus its own work. A change of the rate (a fault, the
//! scalability law) moves no entry of the heap. Times are `f64` nanoseconds: exact to less than
//! one for a hundred days.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};

use super::faults::{Condition, Down};
use super::server::{QueueDiscipline, Server};
use crate::rng::Rng;

/// A request in the station.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Job {
    slot: u32,
    generation: u32,
}

impl Job {
    fn index(self) -> usize {
        self.slot as usize
    }
}

/// What the caller of a job calls it.
pub(super) type Ticket = u32;

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    Completed,
    Failed,
    /// The server crashed.
    Reset,
    /// The server is gone and will never say so.
    Silent,
}

/// Why a request did not get in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Unreachable,
    Silent,
    LineFull,
}

#[derive(Debug)]
pub(super) struct Station {
    server: Server,
    condition: Condition,
    rng: Rng,
    now: f64,
    progress: f64,
    busy: u32,
    waiting: usize,
    running: BinaryHeap<Reverse<Finish>>,
    line: VecDeque<(Job, f64)>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    begun: u64,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    generation: u32,
    ticket: Ticket,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Nowhere,
    InLine,
    InWork,
}

/// When, in terms of progress, a job is done. Of two at once, the one that began first.
#[derive(Clone, Copy, Debug)]
struct Finish {
    progress: f64,
    begun: u64,
    job: Job,
}

impl Station {
    pub(super) fn new(server: Server, seed: u64) -> Self {
        Self {
            server,
            condition: Condition::SOUND,
            rng: Rng::new(Some(seed)),
            now: 0.0,
            progress: 0.0,
            busy: 0,
            waiting: 0,
            running: BinaryHeap::new(),
            line: VecDeque::new(),
            slots: Vec::new(),
            free: Vec::new(),
            begun: 0,
        }
    }

    pub(super) fn condition(&self) -> &Condition {
        &self.condition
    }

    /// In work, and in line.
    pub(super) fn load(&self) -> (u32, usize) {
        (self.busy, self.waiting)
    }

    /// Takes in a request.
    pub(super) fn arrive(
        &mut self,
        ticket: Ticket,
        now: f64,
        ended: &mut Vec<(Ticket, Done)>,
    ) -> Result<Job, Refused> {
        self.advance(now, ended);
        match self.condition.down {
            Some(Down::Refusing) => return Err(Refused::Unreachable),
            Some(Down::Silent) => return Err(Refused::Silent),
            None => {}
        }
        let free = self.busy < self.workers();
        if !free && self.server.queue.is_some_and(|len| self.waiting >= len) {
            return Err(Refused::LineFull);
        }
        let work = self.server.latency.draw(&mut self.rng);
        let job = self.seat(ticket);
        if free {
            self.begin(job, work);
        } else {
            self.slots[job.index()].place = Place::InLine;
            self.waiting += 1;
            self.line.push_back((job, work));
        }
        Ok(job)
    }

    /// The caller of a job has gone, and the work stops. Nothing happens to one that has ended.
    pub(super) fn cancel(&mut self, job: Job, now: f64, ended: &mut Vec<(Ticket, Done)>) -> bool {
        self.advance(now, ended);
        match self.place(job) {
            Place::Nowhere => return false,
            Place::InLine => self.waiting -= 1,
            Place::InWork => self.busy -= 1,
        }
        self.vacate(job);
        self.fill();
        true
    }

    /// Moves on to `now`; what ended until then is added to `ended`, in order.
    pub(super) fn advance(&mut self, now: f64, ended: &mut Vec<(Ticket, Done)>) {
        while let Some((at, finish)) = self.next_finish() {
            if at > now {
                break;
            }
            self.running.pop();
            (self.progress, self.now) = (finish.progress, at);
            let ticket = self.vacate(finish.job);
            self.busy -= 1;
            let fails = self.condition.errors > 0.0 && self.rng.fraction() < self.condition.errors;
            ended.push((ticket, if fails { Done::Failed } else { Done::Completed }));
            self.fill();
        }
        if now > self.now {
            self.progress += (now - self.now) * self.rate();
            self.now = now;
        }
    }

    /// When the next job is done, if nothing changes until then.
    pub(super) fn next(&mut self) -> Option<f64> {
        self.next_finish().map(|(at, _)| at)
    }

    /// Faults began or ended.
    pub(super) fn change(
        &mut self,
        condition: Condition,
        now: f64,
        ended: &mut Vec<(Ticket, Done)>,
    ) {
        self.advance(now, ended);
        if self.condition.down.is_none()
            && let Some(down) = condition.down
        {
            let done = match down {
                Down::Refusing => Done::Reset,
                Down::Silent => Done::Silent,
            };
            self.lose_everything(done, ended);
        }
        self.condition = condition;
        self.fill();
    }

    fn lose_everything(&mut self, done: Done, ended: &mut Vec<(Ticket, Done)>) {
        let mut running: Vec<_> = self.running.drain().map(|Reverse(finish)| finish).collect();
        running.sort_unstable();
        let line = std::mem::take(&mut self.line);
        for job in running.into_iter().map(|finish| finish.job).chain(line.into_iter().map(|l| l.0))
        {
            if self.place(job) != Place::Nowhere {
                ended.push((self.vacate(job), done));
            }
        }
        (self.busy, self.waiting) = (0, 0);
    }

    /// Gives free workers to those in line.
    fn fill(&mut self) {
        while self.busy < self.workers() && self.waiting > 0 {
            let next = match self.server.discipline {
                QueueDiscipline::Fifo => self.line.pop_front(),
                QueueDiscipline::Lifo => self.line.pop_back(),
            };
            let Some((job, work)) = next else { return };
            if self.place(job) == Place::InLine {
                self.waiting -= 1;
                self.begin(job, work);
            }
        }
        if self.waiting == 0 {
            // Only those who left it stand there.
            self.line.clear();
        }
    }

    fn begin(&mut self, job: Job, work: f64) {
        self.slots[job.index()].place = Place::InWork;
        self.busy += 1;
        self.begun += 1;
        let finish = Finish { progress: self.progress + work, begun: self.begun, job };
        self.running.push(Reverse(finish));
    }

    fn next_finish(&mut self) -> Option<(f64, Finish)> {
        loop {
            let Reverse(finish) = *self.running.peek()?;
            if self.place(finish.job) != Place::InWork {
                self.running.pop();
                continue;
            }
            let rate = self.rate();
            let left = (finish.progress - self.progress).max(0.0);
            return (rate > 0.0).then(|| (self.now + left / rate, finish));
        }
    }

    fn rate(&self) -> f64 {
        self.condition.speed / self.server.slowdown(f64::from(self.busy))
    }

    fn workers(&self) -> u32 {
        // A cast saturates; 0.1 of 10 workers must not become 0.99.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let left = (f64::from(self.server.workers) * self.condition.workers + 1e-6) as u32;
        left
    }

    fn seat(&mut self, ticket: Ticket) -> Job {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, ticket, place: Place::Nowhere });
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 requests at once")
        });
        let seat = &mut self.slots[slot as usize];
        seat.ticket = ticket;
        Job { slot, generation: seat.generation }
    }

    fn place(&self, job: Job) -> Place {
        let slot = self.slots[job.index()];
        if slot.generation == job.generation { slot.place } else { Place::Nowhere }
    }

    fn vacate(&mut self, job: Job) -> Ticket {
        let slot = &mut self.slots[job.index()];
        slot.generation = slot.generation.wrapping_add(1);
        slot.place = Place::Nowhere;
        self.free.push(job.slot);
        slot.ticket
    }
}

impl PartialEq for Finish {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Finish {}

impl PartialOrd for Finish {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Finish {
    fn cmp(&self, other: &Self) -> Ordering {
        self.progress.total_cmp(&other.progress).then(self.begun.cmp(&other.begun))
    }
}
