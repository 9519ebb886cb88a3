//! [`Probes`]: the calls that decide whether a half-open circuit closes.

use std::time::Duration;

use crate::time::{self, Instant};

/// The probes that are out, and how many have succeeded.
#[derive(Debug, Default)]
pub(super) struct Probes {
    out: Vec<Probe>,
    issued: u32,
    succeeded: u32,
}

#[derive(Debug)]
struct Probe {
    id: u32,
    since: Instant,
}

impl Probes {
    pub(super) fn out(&self) -> usize {
        self.out.len()
    }

    /// Sends one out.
    pub(super) fn issue(&mut self, now: Instant) -> u32 {
        self.issued = self.issued.wrapping_add(1);
        self.out.push(Probe { id: self.issued, since: now });
        self.issued
    }

    /// Takes one back; `false` if it was not out.
    pub(super) fn take_back(&mut self, id: u32) -> bool {
        let found = self.out.iter().position(|probe| probe.id == id);
        found.map(|at| self.out.swap_remove(at)).is_some()
    }

    /// Counts a success; gives back how many there are.
    pub(super) fn succeed(&mut self) -> u32 {
        self.succeeded += 1;
        self.succeeded
    }

    /// When the oldest one that is out will have been out for `limit`.
    pub(super) fn due(&self, limit: Duration) -> Option<Instant> {
        let oldest = self.out.iter().map(|probe| probe.since).min()?;
        Some(time::later(oldest, limit))
    }
}
