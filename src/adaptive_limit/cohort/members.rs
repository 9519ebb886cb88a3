//! [`Members`]: the calls of one cohort, and what they show.

use std::time::Duration;

use tokio::time::Instant;

use crate::adaptive_limit::{Ended, Outcome};

/// Consecutive calls, from their admission to the end of most of them.
#[derive(Clone, Debug)]
pub(super) struct Members {
    /// Tells the members of this cohort from those of the ones before it.
    number: u32,
    wanted: usize,
    open: bool,
    /// When each came, until it ends.
    out: Vec<Option<Instant>>,
    opened: Instant,
    last: Instant,
    ended: usize,
    /// Of these, those without a latency.
    mute: usize,
    samples: f64,
    /// Of the logarithms of the latencies in seconds.
    sum: f64,
    squares: f64,
    in_flight: f64,
    least_in_flight: usize,
    timeouts: f64,
    overloads: f64,
    pressed: bool,
}

/// What a cohort has shown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shown {
    /// Members in all, and those with a latency.
    pub(super) members: f64,
    pub(super) samples: f64,
    /// Mean and variance of the logarithm of the latency in seconds.
    pub(super) g: f64,
    pub(super) variance: f64,
    /// Mean of the calls in flight as each member came, and the least.
    pub(super) n: f64,
    pub(super) least: f64,
    pub(super) timeouts: f64,
    pub(super) overloads: f64,
    pub(super) pressed: bool,
}

impl Members {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            number: 0,
            wanted: 0,
            open: false,
            out: Vec::new(),
            opened: now,
            last: now,
            ended: 0,
            mute: 0,
            samples: 0.0,
            sum: 0.0,
            squares: 0.0,
            in_flight: 0.0,
            least_in_flight: usize::MAX,
            timeouts: 0.0,
            overloads: 0.0,
            pressed: false,
        }
    }

    /// Begins anew with the next call. Those of before are strangers from now on.
    pub(super) fn open(&mut self, now: Instant, wanted: usize) {
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        let number = self.number.wrapping_add(1);
        *self = Self { number, wanted, open: true, out, ..Self::new(now) };
    }

    /// Whether members are taken in, or still out.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Is none of our business any more.
    pub(super) fn abandon(&mut self) {
        self.open = false;
    }

    /// How many more it takes in.
    pub(super) fn room(&self) -> usize {
        self.wanted - self.out.len()
    }

    #[cfg(test)]
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// When one came or ended last.
    pub(super) fn last_heard(&self) -> Instant {
        self.last
    }

    /// Takes in a call that has just been admitted.
    pub(super) fn admit(&mut self, now: Instant, in_flight: usize) -> u64 {
        let index = self.out.len() as u64;
        self.out.push(Some(now));
        self.last = now;
        #[allow(clippy::cast_precision_loss)]
        let count = in_flight as f64;
        self.in_flight += count;
        self.least_in_flight = self.least_in_flight.min(in_flight);
        u64::from(self.number) << 32 | index
    }

    /// The end of a call; `false` if it is a stranger, which tells only that the limit is pressed.
    pub(super) fn end(&mut self, call: &Ended) -> bool {
        #[allow(clippy::cast_possible_truncation)]
        let (number, index) = ((call.mark >> 32) as u32, call.mark as u32 as usize);
        self.pressed |= self.open && call.pressed;
        if !self.open || number != self.number {
            return false;
        }
        let Some(Some(_)) = self.out.get_mut(index).map(Option::take) else { return false };
        self.ended += 1;
        self.last = call.now;
        match call.outcome {
            Outcome::Answered => self.sample(call.latency),
            Outcome::TimedOut => {
                self.sample(call.latency);
                self.timeouts += 1.0;
            }
            Outcome::Overloaded => {
                self.overloads += 1.0;
                self.mute += 1;
            }
            Outcome::Unknown => self.mute += 1,
        }
        true
    }

    fn sample(&mut self, latency: Duration) {
        let ln = ln(latency);
        self.samples += 1.0;
        self.sum += ln;
        self.squares += ln * ln;
    }

    /// Whether it has shown what it can: nine of ten have ended, or half of them after `patience`.
    pub(super) fn is_complete(&self, now: Instant, patience: Duration) -> bool {
        let came = self.out.len();
        // Those without a latency tell nothing, so they cannot stand for those who are still out.
        let out = came - self.ended;
        let most = self.room() == 0 && 10 * out <= came - self.mute;
        // The clock last: a subtraction of times costs as much as the rest.
        most || (came >= 8
            && 2 * out <= came
            && now.saturating_duration_since(self.opened) >= patience)
    }

    /// What it has shown. Members that are still out count with the age they have, so that the
    /// slowest are not left out of account.
    pub(super) fn close(&mut self, now: Instant) -> Shown {
        self.open = false;
        for member in 0..self.out.len() {
            if let Some(since) = self.out[member] {
                self.sample(now.saturating_duration_since(since));
            }
        }
        #[allow(clippy::cast_precision_loss)]
        let members = self.out.len() as f64;
        let samples = self.samples.max(1.0);
        let g = self.sum / samples;
        #[allow(clippy::cast_precision_loss)]
        let least = self.least_in_flight as f64;
        Shown {
            members,
            samples: self.samples,
            g,
            variance: (self.squares / samples - g * g).max(0.0),
            n: self.in_flight / members.max(1.0),
            least,
            timeouts: self.timeouts,
            overloads: self.overloads,
            pressed: self.pressed,
        }
    }
}

/// Of a latency in seconds. A call that took no time took a nanosecond.
fn ln(latency: Duration) -> f64 {
    latency.as_secs_f64().max(1e-9).ln()
}
