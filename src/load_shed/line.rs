//! [`Line`]: those who wait for the inner service.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::Duration;

use crate::codel::Codel;
use crate::load_shed::stall::Stall;
use crate::time::Instant;

/// A bounded line in which one has the turn: that one alone asks the inner service whether it is
/// ready. Pure: told who comes and goes, and when.
///
/// When the inner service is ready the turn goes to whoever is to be served: the oldest, or, while
/// the queue stands, the newest. The instance that was ready goes back to the inner service then,
/// which has another for the newest.
#[derive(Debug)]
pub(super) struct Line {
    /// In the order in which they came. Reached by calls that wait alone.
    waiting: BTreeMap<u64, Waiting>,
    next_key: u64,
    turn: Option<u64>,
    len: usize,
    codel: Option<Codel>,
    stall: Option<Stall>,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    waker: Option<Waker>,
}

/// What became of one who came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// In line under this key.
    Waits(u64),
    /// The line is full, or everybody is refused.
    Refused,
}

/// What became of one whose inner service is ready.
#[derive(Debug)]
pub(super) enum Offer {
    /// Served: out of the line, after this wait. The next has to be woken.
    Served(Duration, Woken),
    /// It is somebody else's turn, who has to be woken.
    Passed(Woken),
    /// It has waited longer than is allowed.
    Late,
}

/// Wakers that left the line. Both are for outside the lock: what they run is the executor's, and
/// it may come back here.
#[derive(Debug)]
#[must_use]
pub(super) struct Woken {
    /// Whose turn it is now.
    next: Option<Waker>,
    /// Of one who left: to be dropped.
    unused: Option<Waker>,
}

impl Woken {
    pub(super) fn wake(self) {
        if let Some(next) = self.next {
            next.wake();
        }
        drop(self.unused);
    }
}

impl Line {
    pub(super) fn new(len: usize, codel: Option<Codel>, stall: Option<Stall>) -> Self {
        Self { waiting: BTreeMap::new(), next_key: 0, turn: None, len, codel, stall }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// How long the oldest has waited.
    pub(super) fn delay(&self, now: Instant) -> Duration {
        let oldest = self.waiting.first_key_value();
        oldest.map_or(Duration::ZERO, |(_, oldest)| now.saturating_duration_since(oldest.since))
    }

    /// Whether the queue stands.
    pub(super) fn is_overloaded(&self, now: Instant) -> bool {
        self.codel.is_some_and(|codel| codel.is_overloaded(now))
    }

    /// Whether everybody is refused, since the inner service has been pending for too long.
    pub(super) fn is_failing(&self, now: Instant) -> bool {
        self.stall.is_some_and(|stall| stall.is_failing(now))
    }

    /// Whether anybody ever waits here.
    pub(super) fn is_for_waiting(&self) -> bool {
        self.len > 0
    }

    /// When a wait that nobody else shares ends.
    pub(super) fn would_end(&self, since: Instant) -> Instant {
        let patience = [
            self.codel.map(|codel| codel.until(since)),
            self.stall.map(|stall| stall.would_fail_at(since)),
        ];
        patience.into_iter().flatten().min().unwrap_or(since)
    }

    /// Whether it matters that somebody finds the inner service ready.
    pub(super) fn wants_news(&self, now: Instant) -> bool {
        !self.waiting.is_empty()
            || self.stall.is_some_and(|stall| stall.is_pending())
            || self.is_overloaded(now)
    }

    /// Somebody found the inner service pending, and would wait for it.
    pub(super) fn join(&mut self, now: Instant) -> Joined {
        if let Some(stall) = &mut self.stall {
            stall.pending(now);
        }
        if self.is_failing(now) || self.waiting.len() >= self.len {
            return Joined::Refused;
        }
        if let Some(codel) = &mut self.codel {
            codel.joined(now);
        }
        let key = self.next_key;
        self.next_key += 1;
        self.waiting.insert(key, Waiting { since: now, waker: None });
        self.turn.get_or_insert(key);
        Joined::Waits(key)
    }

    /// Whether it has the turn; if not, `waker` is woken when it does. Gives back the waker that is
    /// of no use any more.
    pub(super) fn poll(&mut self, key: u64, waker: Waker) -> (bool, Option<Waker>) {
        if self.turn == Some(key) {
            return (true, Some(waker));
        }
        let waiting = self.waiting.get_mut(&key);
        (false, waiting.and_then(|waiting| waiting.waker.replace(waker)))
    }

    /// When its wait is over, if all goes on as it is.
    pub(super) fn until(&self, key: u64) -> Option<Instant> {
        let since = self.waiting.get(&key)?.since;
        let allowed = self.codel.map(|codel| codel.until(since));
        let fails_at = self.stall.and_then(|stall| stall.fails_at());
        allowed.into_iter().chain(fails_at).min()
    }

    /// The inner service is ready for the one who has the turn.
    pub(super) fn offer(&mut self, key: u64, now: Instant) -> Offer {
        let since = self.waiting[&key].since;
        if self.codel.is_some_and(|codel| codel.until(since) < now) {
            return Offer::Late;
        }
        let next = self.next(now);
        if next != Some(key) {
            self.inner_ready(now);
            self.turn = next;
            return Offer::Passed(Woken { next: self.wake_turn(), unused: None });
        }
        let waited = now.saturating_duration_since(since);
        if let Some(codel) = &mut self.codel {
            codel.served(now, waited);
        }
        let woken = self.remove(key, now);
        self.inner_ready(now);
        Offer::Served(waited, woken)
    }

    /// Leaves the line unserved, by itself or refused. Gives back who has to be woken.
    pub(super) fn leave(&mut self, key: u64, now: Instant, refused: bool) -> Woken {
        let woken = self.remove(key, now);
        let nobody_waits = self.waiting.is_empty();
        if let Some(codel) = &mut self.codel {
            if refused {
                codel.refused(now);
            }
            if nobody_waits {
                codel.deserted(now);
            }
        }
        if let (true, Some(stall)) = (nobody_waits, &mut self.stall) {
            stall.deserted(now);
        }
        woken
    }

    /// Somebody found the inner service ready, or that it failed.
    pub(super) fn inner_ready(&mut self, now: Instant) {
        let nobody_waits = self.waiting.is_empty();
        if let Some(stall) = &mut self.stall {
            stall.ready(now, !nobody_waits);
        }
        if let (true, Some(codel)) = (nobody_waits, &mut self.codel) {
            codel.drained(now);
        }
    }

    /// Whether whoever asks has to see to it that readiness is driven on.
    pub(super) fn take_duty(&mut self, now: Instant) -> bool {
        self.stall.as_mut().is_some_and(|stall| stall.take_duty(now))
    }

    pub(super) fn duty_ended(&mut self) {
        if let Some(stall) = &mut self.stall {
            stall.duty_ended();
        }
    }

    /// Who is to be served.
    fn next(&self, now: Instant) -> Option<u64> {
        let next = if self.is_overloaded(now) {
            self.waiting.last_key_value()
        } else {
            self.waiting.first_key_value()
        };
        next.map(|(key, _)| *key)
    }

    fn remove(&mut self, key: u64, now: Instant) -> Woken {
        let unused = self.waiting.remove(&key).and_then(|waiting| waiting.waker);
        if self.turn != Some(key) {
            return Woken { next: None, unused };
        }
        self.turn = self.next(now);
        Woken { next: self.wake_turn(), unused }
    }

    fn wake_turn(&mut self) -> Option<Waker> {
        self.waiting.get_mut(&self.turn?)?.waker.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time;

    const MS: Duration = Duration::from_millis(1);

    fn line(len: usize) -> (Line, Instant) {
        (Line::new(len, Some(Codel::new(5 * MS, 100 * MS)), None), time::now())
    }

    #[track_caller]
    fn join(line: &mut Line, now: Instant) -> u64 {
        match line.join(now) {
            Joined::Waits(key) => key,
            Joined::Refused => panic!("there is room"),
        }
    }

    fn has_turn(line: &mut Line, key: u64) -> bool {
        line.poll(key, Waker::noop().clone()).0
    }

    #[test]
    fn theoldest_is_served_first_while_the_queue_does_not_stand() {
        let (mut line, start) = line(3);
        let [first, second, third] = [0, 1, 2].map(|ms| join(&mut line, start + ms * MS));
        assert_eq!(line.join(start), Joined::Refused, "full");
        for key in [first, second, third] {
            assert!(has_turn(&mut line, key));
            assert!(matches!(line.offer(key, start + 4 * MS), Offer::Served(..)));
        }
        assert!(!line.wants_news(start + 500 * MS));
    }

    #[test]
    fn the_newest_is_served_first_while_it_stands() {
        let (mut line, start) = line(9);
        let oldest = join(&mut line, start);
        let now = start + 100 * MS;
        let [older, newer, newest] = [0; 3].map(|_| join(&mut line, now));
        assert!(matches!(line.offer(oldest, now), Offer::Passed(_)));
        assert!(!has_turn(&mut line, oldest));
        for key in [newest, newer, older, oldest] {
            assert!(has_turn(&mut line, key));
            assert!(matches!(line.offer(key, now), Offer::Served(..)));
        }
        assert!(!line.is_overloaded(now), "it ran empty");
    }

    #[test]
    fn whoever_waited_longer_than_allowed_is_late() {
        let (mut line, start) = line(9);
        let first = join(&mut line, start);
        assert_eq!(line.until(first), Some(start + 100 * MS));
        let second = join(&mut line, start + 98 * MS);
        assert_eq!(line.until(second), Some(start + 103 * MS));
        let late = start + 103 * MS + Duration::from_nanos(1);
        assert!(matches!(line.offer(first, late), Offer::Late));
        let _ = line.leave(first, late, true);
        assert!(matches!(line.offer(second, start + 103 * MS), Offer::Served(..)));
    }

    #[test]
    fn whoever_leaves_hands_the_turn_on_and_leaves_no_waker_behind() {
        let (mut line, start) = line(9);
        let [first, second] = [0; 2].map(|_| join(&mut line, start));
        assert!(!has_turn(&mut line, second));
        assert!(line.leave(first, start, false).next.is_some(), "the second is woken");
        assert!(has_turn(&mut line, second));
        let [third, fourth] = [0; 2].map(|_| join(&mut line, start));
        assert!(!has_turn(&mut line, fourth));
        assert!(line.leave(fourth, start, false).next.is_none(), "it had not the turn");
        let _ = (line.leave(third, start, false), line.leave(second, start, false));
        assert_eq!((line.len(), line.turn), (0, None));
    }
}
