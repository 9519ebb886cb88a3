//! [`Slots`]: a counted number of places, and a line of those who wait for one.

use std::task::Waker;
use std::time::Duration;

use crate::admission::shares::Shares;
use crate::admission::waiters::Waiters;
use crate::sync::{AtomicUsize, Mutex, Ordering, lock};
use crate::time::Instant;

/// Who is served first when a slot becomes free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QueueOrder {
    /// Whoever has waited longest.
    #[default]
    Fifo,
    /// Whoever came last: the one whose caller most likely still waits.
    Lifo,
    /// First in, first out; last in, first out while the queue has not been empty for 100 ms.
    /// The rule and the figure: Maurer, "Fail at Scale", ACM Queue 13(8), 2015.
    Adaptive,
}

/// How long a line may get, and its order.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct QueueLimit {
    pub(crate) len: usize,
    pub(crate) order: QueueOrder,
}

/// How long a queue must have stood before [`QueueOrder::Adaptive`] turns round.
const STANDING: Duration = Duration::from_millis(100);

/// The places of a concurrency limit.
///
/// Entering is one compare-and-swap and leaving one subtraction as long as nobody waits. The word
/// holds the calls in flight and one bit, [`WAITING`]. While the bit is set nobody enters past
/// the line, and whoever leaves goes through the lock to grant what became free. It is the highest
/// bit, so that one comparison with the limit finds both: no room, and no right to it.
///
/// No slot is lost between the two: a waiter sets the bit under the lock *before* it looks at the
/// count for the last time. Whoever leaves after that sees the bit, and waits for the lock;
/// whoever left before is in the count that the waiter sees.
///
/// Partitions take the lock always: their promise is over two counters at once. A share that is no
/// more than a lower limit for some needs none.
#[derive(Debug)]
pub(crate) struct Slots {
    /// Calls in flight, plus [`WAITING`].
    word: AtomicUsize,
    limit: AtomicUsize,
    /// What the limit is for all but the first kind, where kinds have shares of it at most.
    held: AtomicUsize,
    line: Mutex<Line>,
    shares: Shares,
    clock: fn() -> Instant,
}

const WAITING: usize = 1 << (usize::BITS - 1);

#[derive(Debug)]
struct Line {
    waiters: Waiters,
    limit: QueueLimit,
    /// Since when somebody has been waiting without a break.
    standing_since: Option<Instant>,
    /// Calls in flight by partition.
    in_flight: Box<[usize]>,
}

/// A place in the line. Its owner must [`collect`](Slots::collect) or
/// [`withdraw`](Slots::withdraw) it, once.
#[derive(Debug)]
pub(crate) struct Waiter(u32);

/// What asking for a place in the line came to.
#[derive(Debug)]
pub(crate) enum Enqueued {
    /// A slot was free after all.
    Admitted,
    /// In line.
    Waiting(Waiter),
    /// The line is full.
    Full,
}

/// What became of a free slot.
enum Grant {
    /// Given to somebody, who may not have been polled yet.
    Given(Option<Waker>),
    /// There is no slot, or nobody who waits for one.
    Nobody,
}

impl Slots {
    pub(crate) fn new(
        limit: usize,
        queue: QueueLimit,
        shares: Shares,
        clock: fn() -> Instant,
    ) -> Self {
        let line = Line {
            waiters: Waiters::default(),
            limit: queue,
            standing_since: None,
            in_flight: vec![0; shares.counted()].into(),
        };
        Self {
            word: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            held: AtomicUsize::new(limit),
            line: Mutex::new(line),
            shares,
            clock,
        }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.word.load(Ordering::Acquire) & !WAITING
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Ordering::Acquire)
    }

    pub(crate) fn queued(&self) -> usize {
        if self.word.load(Ordering::Acquire) & WAITING == 0 {
            0
        } else {
            lock(&self.line).waiters.len()
        }
    }

    /// Takes a slot where one is free and nobody waits for it.
    #[inline(always)]
    pub(crate) fn try_acquire(&self, partition: usize) -> bool {
        match self.shares {
            Shares::Alike => self.try_acquire_below(self.limit.load(Ordering::Acquire)),
            _ => self.try_acquire_of(partition),
        }
    }

    #[inline(always)]
    fn try_acquire_below(&self, limit: usize) -> bool {
        let limit = limit.min(WAITING);
        let mut word = self.word.load(Ordering::Relaxed);
        while word < limit {
            match self.word.compare_exchange_weak(
                word,
                word + 1,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    #[cold]
    fn try_acquire_of(&self, partition: usize) -> bool {
        match &self.shares {
            Shares::Promised(_) => self.try_acquire_locked(&mut lock(&self.line), partition),
            Shares::Alike | Shares::AtMost(_) => self.try_acquire_below(self.most(partition)),
        }
    }

    /// Takes a slot beyond the limit: for shadow mode, which counts and refuses nobody.
    pub(crate) fn acquire_beyond(&self, partition: usize) {
        self.word.fetch_add(1, Ordering::AcqRel);
        if let Some(count) = lock(&self.line).in_flight.get_mut(partition) {
            *count += 1;
        }
    }

    /// Gets in line, unless a slot is free by now or the line is full.
    pub(crate) fn enqueue(&self, partition: usize) -> Enqueued {
        let mut line = lock(&self.line);
        // Before the last look at the count: see the type's documentation.
        self.word.fetch_or(WAITING, Ordering::AcqRel);
        let outcome = if self.try_acquire_locked(&mut line, partition) {
            Enqueued::Admitted
        } else if line.waiters.len() >= line.limit.len || self.limit() == 0 {
            Enqueued::Full
        } else {
            if line.standing_since.is_none() && line.limit.order == QueueOrder::Adaptive {
                line.standing_since = Some((self.clock)());
            }
            Enqueued::Waiting(Waiter(line.waiters.push_back(partition)))
        };
        self.settle_line(&mut line);
        outcome
    }

    /// Whether the slot has been granted; if not, `waker` is woken when it is.
    pub(crate) fn poll(&self, waiter: &Waiter, waker: &Waker) -> bool {
        // Wakers are cloned and dropped outside the lock: what that runs is the executor's, and it
        // may come back here.
        let waker = waker.clone();
        let (granted, _unused) = lock(&self.line).waiters.poll(waiter.0, waker);
        granted
    }

    /// Leaves the line with the slot that was granted.
    #[allow(clippy::needless_pass_by_value)] // A place is used up.
    pub(crate) fn collect(&self, waiter: Waiter) {
        let _unused = lock(&self.line).waiters.remove(waiter.0);
    }

    /// Leaves the line without a slot. One that had been granted meanwhile goes to the next.
    #[allow(clippy::needless_pass_by_value)] // A place is used up.
    pub(crate) fn withdraw(&self, waiter: Waiter) {
        let ((granted, _unused), partition) = {
            let mut line = lock(&self.line);
            let partition = line.waiters.partition(waiter.0);
            let removed = line.waiters.remove(waiter.0);
            self.settle_line(&mut line);
            (removed, partition)
        };
        if granted && !cfg!(mutant = "lost-waiter") {
            self.release(partition);
        }
    }

    /// Gives a slot back.
    #[inline(always)]
    pub(crate) fn release(&self, partition: usize) {
        if let Shares::Promised(_) = self.shares {
            self.release_of(partition);
        } else if self.word.fetch_sub(1, Ordering::AcqRel) & WAITING != 0 {
            self.grant();
        }
    }

    #[cold]
    fn release_of(&self, partition: usize) {
        let mut line = lock(&self.line);
        line.in_flight[partition] -= 1;
        let word = self.word.fetch_sub(1, Ordering::AcqRel);
        drop(line);
        if word & WAITING != 0 {
            self.grant();
        }
    }

    /// Sets the limit; gives back what it was. What it frees is granted at once; calls in flight
    /// beyond it run to their end.
    pub(crate) fn resize(&self, limit: usize) -> usize {
        let before = self.limit();
        self.set_limit(limit, limit);
        #[cfg(not(mutant = "resize-serves-nobody"))]
        self.grant();
        before
    }

    /// Sets the limit, and leaves it to the caller to [`grant`](Self::grant) what that frees: for
    /// those who hold a lock, under which nobody may be woken. `usual` is the limit of the first
    /// kind of calls, where kinds have shares of it at most. Tells whether that changed anything.
    pub(crate) fn set_limit(&self, limit: usize, usual: usize) -> bool {
        let (all, held) = match self.shares {
            Shares::AtMost(_) => (usual, limit),
            Shares::Alike | Shares::Promised(_) => (limit, limit),
        };
        if self.limit() == all && self.held.load(Ordering::Acquire) == held {
            return false;
        }
        // Under the lock, so that nobody gets in line with the old limit after the grants.
        let _line = lock(&self.line);
        self.limit.store(all, Ordering::Release);
        self.held.store(held, Ordering::Release);
        true
    }

    /// How many slots may be taken for this kind of calls to get one.
    fn most(&self, partition: usize) -> usize {
        let limit = self.limit();
        let limit =
            if partition == 0 { limit } else { limit.min(self.held.load(Ordering::Acquire)) };
        self.shares.at_most(limit, partition)
    }

    /// Gives what is free to those who wait, one at a time, waking each outside the lock.
    #[cold]
    pub(crate) fn grant(&self) {
        while let Grant::Given(waker) = self.grant_one() {
            if let Some(waker) = waker {
                #[cfg(not(mutant = "granted-but-not-woken"))]
                waker.wake();
            }
        }
    }

    fn grant_one(&self) -> Grant {
        let mut line = lock(&self.line);
        let backwards = self.last_in_first_out(&line);
        let next = if self.in_flight() < self.limit() {
            line.waiters.next(backwards, |partition| self.has_room(partition))
        } else {
            line.waiters.next(false, |partition| self.is_owed(&line, partition))
        };
        let Some(waiter) = next else {
            self.settle_line(&mut line);
            return Grant::Nobody;
        };
        let partition = line.waiters.partition(waiter);
        self.take(&mut line, partition);
        let waker = line.waiters.grant(waiter);
        self.settle_line(&mut line);
        Grant::Given(waker)
    }

    fn last_in_first_out(&self, line: &Line) -> bool {
        match line.limit.order {
            QueueOrder::Fifo => false,
            QueueOrder::Lifo => true,
            QueueOrder::Adaptive => line
                .standing_since
                .is_some_and(|since| (self.clock)().saturating_duration_since(since) >= STANDING),
        }
    }

    fn try_acquire_locked(&self, line: &mut Line, partition: usize) -> bool {
        // Whoever waits and has room is served first; whoever waits for its share is passed.
        let free = self.has_room(partition)
            && line.waiters.next(false, |waiting| self.has_room(waiting)).is_none();
        let admitted = free || self.is_owed(line, partition);
        if admitted {
            self.take(line, partition);
        }
        admitted
    }

    /// Only under the lock and with [`WAITING`] set or partitions in use: then the count can fall
    /// meanwhile, but nobody else raises it.
    fn take(&self, line: &mut Line, partition: usize) {
        self.word.fetch_add(1, Ordering::AcqRel);
        if let Some(count) = line.in_flight.get_mut(partition) {
            *count += 1;
        }
    }

    /// Whether there is a free slot, and one that such a call may have.
    fn has_room(&self, partition: usize) -> bool {
        self.in_flight() < self.most(partition)
    }

    /// Whether a partition is below what it was promised.
    fn is_owed(&self, line: &Line, partition: usize) -> bool {
        let in_flight = line.in_flight.get(partition);
        in_flight.is_some_and(|count| *count < self.shares.owed(self.limit(), partition))
    }

    /// Keeps the bit and the standing time true to the line.
    fn settle_line(&self, line: &mut Line) {
        if line.waiters.len() == 0 {
            line.standing_since = None;
            self.word.fetch_and(!WAITING, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests;
