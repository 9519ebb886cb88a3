//! [`Ring`]: what was paid in and taken out over the last so many epochs, without a lock.

use crate::budget::ONE;
use crate::sync::stripes::Padded;
use crate::sync::{AtomicI64, AtomicU64, Ordering};

/// Epochs in the window. What enters a window in slices is counted for up to one slice too short
/// (deposits) or too long (withdrawals): with 250 of them, within 0.4 % of its length.
pub(super) const SPAN: u64 = if cfg!(any(buttress_loom, buttress_shuttle)) { 2 } else { 250 };

/// A power of two above `SPAN + 1`: one slot for each epoch in the window and for the next.
pub(super) const SLOTS: u64 = if cfg!(any(buttress_loom, buttress_shuttle)) { 4 } else { 256 };

/// A sliding balance: the floor, plus the deposits of the last [`SPAN`] epochs, less the
/// withdrawals of as many.
///
/// A slot is one word: the lap (which of the epochs that share the slot it is for) and the net of
/// that epoch. Whoever changes the lap thereby expires the old net, exactly once. The balance is
/// a word of its own, so that no two withdrawals can take the same token.
///
/// No thread ever sees a balance that is higher than what the floor and the slots add up to: what
/// lowers the balance is done before the slot changes, and what raises it, after. A race can
/// therefore refuse a withdrawal that was affordable, but pass none that was not.
///
/// The bound is strict, since every rounding is to the safe side: a deposit leaves with the first
/// of its epoch, a withdrawal is booked one epoch late, and so leaves with the last.
#[derive(Debug)]
pub(super) struct Ring {
    balance: Padded<AtomicI64>,
    /// The slots of all epochs up to this one less [`SPAN`] have expired.
    swept: AtomicU64,
    slots: Box<[AtomicU64]>,
}

impl Ring {
    /// With `floor` units that are always there.
    pub(super) fn new(floor: i64) -> Self {
        Self {
            balance: Padded(AtomicI64::new(floor)),
            swept: AtomicU64::new(0),
            slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// What is left at `now`, in units. Negative after deposits left before what they paid for.
    pub(super) fn balance(&self, now: u64) -> i64 {
        self.sweep(now);
        self.balance.0.load(Ordering::Acquire)
    }

    /// Adds `units` to `epoch`; nothing if that has left the window.
    pub(super) fn deposit(&self, epoch: u64, units: i64) {
        let slot = self.slot(epoch);
        let lap = Entry::lap_of(epoch);
        let mut entry = self.renewed(slot, lap);
        while entry.lap == lap {
            // More than a slot can hold is not held: 200,000 attempts in one 250th of a window.
            let net = entry.net.saturating_add(i32::try_from(units).unwrap_or(i32::MAX));
            match entry.replace(slot, Entry { lap, net }) {
                Ok(()) => return self.raise(i64::from(net) - i64::from(entry.net)),
                Err(found) => entry = found,
            }
        }
    }

    /// Takes [`ONE`] at `now` if there is as much. Gives the epoch in which it is booked.
    pub(super) fn withdraw(&self, now: u64) -> Option<u64> {
        self.sweep(now);
        let (balance, one) = (&self.balance.0, i64::from(ONE));
        let mut left = balance.load(Ordering::Relaxed);
        while left >= one || cfg!(mutant = "budget-overdrawn") && left > 0 {
            match balance.compare_exchange_weak(
                left,
                left - one,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return self.book(now + 1),
                Err(found) => left = found,
            }
        }
        None
    }

    /// Books what was withdrawn under `epoch`, or under a later one if that has passed.
    fn book(&self, epoch: u64) -> Option<u64> {
        let slot = self.slot(epoch);
        let mut entry = self.renewed(slot, Entry::lap_of(epoch));
        loop {
            let Some(net) = entry.net.checked_sub(ONE.into()) else {
                self.raise(ONE.into());
                return None;
            };
            match entry.replace(slot, Entry { net, ..entry }) {
                Ok(()) => {
                    let laps = entry.lap.wrapping_sub(Entry::lap_of(epoch));
                    return Some(epoch + u64::from(laps) * SLOTS);
                }
                Err(found) => entry = found,
            }
        }
    }

    /// Undoes a withdrawal that was booked under `epoch`.
    pub(super) fn refund(&self, epoch: u64) {
        // Of a withdrawal that has left the window nothing is left to give back, and its slot has
        // a later lap.
        self.deposit(epoch, ONE.into());
    }

    /// Expires whatever is out of the window at `now`.
    fn sweep(&self, now: u64) {
        let swept = self.swept.load(Ordering::Acquire);
        if swept >= now || cfg!(mutant = "budget-never-expires") {
            return;
        }
        let leaving = swept.max(now.saturating_sub(SLOTS)) + 1..=now;
        for epoch in leaving.filter_map(|epoch| epoch.checked_sub(SPAN)) {
            // Renewed for its next lap, so that whoever comes late finds it gone.
            self.renewed(self.slot(epoch), Entry::lap_of(epoch + SLOTS));
        }
        self.swept.fetch_max(now, Ordering::AcqRel);
    }

    /// The entry in `slot` once it is of `lap` or a later one.
    fn renewed(&self, slot: &AtomicU64, lap: u32) -> Entry {
        let mut entry = Entry::from(slot.load(Ordering::Acquire));
        while entry.is_before(lap) {
            let net = i64::from(entry.net);
            self.lower(net.max(0));
            let fresh = Entry { lap, net: 0 };
            match entry.replace(slot, fresh) {
                Ok(()) => {
                    self.raise(-net.min(0));
                    entry = fresh;
                }
                Err(found) => {
                    self.raise(net.max(0));
                    entry = found;
                }
            }
        }
        entry
    }

    fn slot(&self, epoch: u64) -> &AtomicU64 {
        #[allow(clippy::cast_possible_truncation)] // Below `SLOTS`.
        &self.slots[(epoch % SLOTS) as usize]
    }

    fn raise(&self, units: i64) {
        if units != 0 {
            self.balance.0.fetch_add(units, Ordering::AcqRel);
        }
    }

    fn lower(&self, units: i64) {
        if units != 0 {
            self.balance.0.fetch_sub(units, Ordering::AcqRel);
        }
    }

    /// The balance, and what the slots add up to. They differ by the floor when nobody is at it.
    #[cfg(any(test, fuzzing, buttress_fuzz))]
    pub(super) fn settled(&self) -> (i64, i64) {
        let nets = self.slots.iter().map(|slot| Entry::from(slot.load(Ordering::Acquire)).net);
        (self.balance.0.load(Ordering::Acquire), nets.map(i64::from).sum())
    }
}

/// The content of a slot.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Entry {
    lap: u32,
    net: i32,
}

impl Entry {
    #[allow(clippy::cast_possible_truncation)] // Laps are compared as they wrap.
    fn lap_of(epoch: u64) -> u32 {
        (epoch / SLOTS) as u32
    }

    #[allow(clippy::cast_possible_wrap)]
    fn is_before(self, lap: u32) -> bool {
        (self.lap.wrapping_sub(lap) as i32) < 0
    }

    fn replace(self, slot: &AtomicU64, by: Self) -> Result<(), Self> {
        let (old, new) = (self.into(), by.into());
        let replaced = slot.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire);
        replaced.map(|_| ()).map_err(Self::from)
    }
}

impl From<u64> for Entry {
    #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
    fn from(word: u64) -> Self {
        Self { lap: (word >> 32) as u32, net: word as u32 as i32 }
    }
}

impl From<Entry> for u64 {
    #[allow(clippy::cast_sign_loss)]
    fn from(entry: Entry) -> Self {
        Self::from(entry.lap) << 32 | Self::from(entry.net as u32)
    }
}
