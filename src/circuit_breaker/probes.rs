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
    /// Its slot is kept for a call that has not begun.
    reserved: bool,
}

impl Probes {
    pub(super) fn out(&self) -> usize {
        self.out.len()
    }

    /// Sends one out.
    pub(super) fn issue(&mut self, now: Instant) -> u32 {
        self.issued = self.issued.wrapping_add(1);
        self.out.push(Probe { id: self.issued, since: now, reserved: false });
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

    /// Marks one as a slot alone, whose call has not begun.
    pub(super) fn reserve(&mut self, id: u32) {
        if let Some(probe) = self.find(id) {
            probe.reserved = true;
        }
    }

    /// The call of a reserved one begins; `false` if its slot has been reclaimed.
    pub(super) fn begin(&mut self, id: u32, now: Instant) -> bool {
        let Some(probe) = self.find(id) else { return false };
        (probe.since, probe.reserved) = (now, false);
        true
    }

    pub(super) fn is_out(&self, id: u32) -> bool {
        self.out.iter().any(|probe| probe.id == id)
    }

    /// Takes back the slots that have been reserved for `limit`. No call hangs in them.
    pub(super) fn reclaim(&mut self, now: Instant, limit: Duration) {
        self.out.retain(|probe| !probe.reserved || time::later(probe.since, limit) > now);
    }

    /// When the oldest call that is out will have been out for `limit`.
    pub(super) fn due(&self, limit: Duration) -> Option<Instant> {
        let calls = self.out.iter().filter(|probe| !probe.reserved);
        Some(time::later(calls.map(|probe| probe.since).min()?, limit))
    }

    /// When a slot will be free again at the latest, if none is.
    pub(super) fn free_at(&self, limit: Duration) -> Option<Instant> {
        let oldest = self.out.iter().map(|probe| probe.since).min()?;
        Some(time::later(oldest, limit))
    }

    fn find(&mut self, id: u32) -> Option<&mut Probe> {
        self.out.iter_mut().find(|probe| probe.id == id)
    }
}
