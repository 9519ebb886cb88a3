//! [`Threshold`]: from which priority on calls are refused, so that a given share of them is.

#[cfg(any(test, fuzzing, buttress_fuzz))]
pub(crate) mod model;

use std::time::Duration;

use crate::priority::Priority;
use crate::time::{self, Instant};

/// Places in the order of importance: five classes of 128 levels.
const RANKS: usize = Priority::RANKS;

/// Half a window ends with its time, but not before it has seen so many calls: a mix cannot be
/// read off a handful.
const FEW: u32 = 128;

/// Nor does it hold more: what two halves sum up to stays below 2^32.
const MANY: u32 = 1 << 30;

/// An admission threshold that follows the histogram of recent priorities, after DAGOR ([Zhou et
/// al., "Overload Control for Scaling `WeChat` Microservices"][dagor], 2018) and the criticality of
/// the [Google SRE book][sre], chapter 21.
///
/// Every call is counted in the histogram, whatever becomes of it. To refuse a share `x` of the
/// calls is to refuse those that rank in the last `x` of the histogram. DAGOR moves its threshold
/// step by step until the load fits; here it is read off the histogram in every call, so there is
/// nothing to tune and nothing to wait for.
///
/// Where priorities are drawn alike the rank of the newest call among those of the window, itself
/// included, is equally likely to be any. So the expected share refused is `x` itself, from the
/// first call on, however few there are.
///
/// [dagor]: https://doi.org/10.1145/3267809.3267823
/// [sre]: https://sre.google/sre-book/handling-overload/
#[derive(Clone, Debug)]
pub(crate) struct Threshold {
    /// The window in two halves, the newer being filled. The older one goes as a whole: after a
    /// full window nothing is left of an earlier mix. More and smaller slices would hold a steadier
    /// number of calls and cost 2.5 KiB each.
    newer: Half,
    older: Half,
    length: Duration,
    until: Instant,
    /// What is owed to the calls on the threshold: see [`owes`](Self::owes).
    debt: f64,
}

impl Threshold {
    /// Follows the calls of the last `window`, or a half of it.
    pub(crate) fn new(window: Duration, now: Instant) -> Self {
        let length = window / 2;
        Self {
            newer: Half::default(),
            older: Half::default(),
            length,
            until: time::later(now, length),
            debt: 0.0,
        }
    }

    /// Whether a call of this priority passes where a share of `excess` of all calls has to go:
    /// 0 to 1; less, or not a number, is 0. Counts the call.
    ///
    /// An exempt call always passes. It is counted as load, so that others go in its place.
    pub(crate) fn admits(&mut self, now: Instant, priority: Priority, excess: f64) -> bool {
        self.turn(now);
        self.newer.count(priority);
        #[cfg(mutant = "exempt-call-shed")]
        let priority = if priority.is_exempt() { Priority::default() } else { priority };
        if excess.is_nan() || excess <= 0.0 || priority.is_exempt() {
            return true;
        }
        let share = self.share_refused(priority, excess.min(1.0));
        // All or none of its rank. What is owed is left to the rank that the threshold goes through.
        if share <= 0.0 || share >= 1.0 {
            return share <= 0.0;
        }
        !self.owes(share)
    }

    /// Ends the half that is being filled, when its time is over and it has something to say.
    ///
    /// What was seen before a long silence stays until there is half a window of newer calls.
    fn turn(&mut self, now: Instant) {
        if (now >= self.until && self.newer.calls >= FEW) || self.newer.calls >= MANY {
            std::mem::swap(&mut self.newer, &mut self.older);
            self.newer.clear();
            self.until = time::later(now, self.length);
        }
    }

    /// How much of this rank lies in the last `excess` of the histogram: all of it from 1 on, and
    /// nothing up to 0.
    fn share_refused(&self, priority: Priority, excess: f64) -> f64 {
        let behind = self.newer.behind(priority) + self.older.behind(priority);
        let alike = self.newer.alike(priority) + self.older.alike(priority);
        let all = self.newer.calls + self.older.calls;
        (excess * f64::from(all) - f64::from(behind)) / f64::from(alike)
    }

    /// Whether this call is the one to go where only a `share` of its rank does: each adds its share
    /// to a debt, and the call that makes it a whole one pays.
    ///
    /// By chance the share would be right on average, after many calls; so it is off by at most
    /// one, which is what a mix of few ranks stands and falls with: with all traffic in a single
    /// one, this alone decides. The debt is never more than one call, so it carries no past into
    /// another mix.
    fn owes(&mut self, share: f64) -> bool {
        self.debt += share;
        let whole = self.debt >= 1.0;
        if whole {
            self.debt -= 1.0;
        }
        whole
    }
}

/// A histogram of priorities, as a tree of partial sums ([Fenwick 1994]): counting and summing up
/// what ranks behind take ten steps at most.
///
/// [Fenwick 1994]: https://doi.org/10.1002/spe.4380240306
#[derive(Clone, Debug)]
struct Half {
    /// Node `i`, from 1, sums up as many of the last ranks, from the `i`-th last on, as its lowest
    /// bit says.
    sums: [u32; RANKS + 1],
    /// All calls, the exempt ones too.
    calls: u32,
}

impl Default for Half {
    fn default() -> Self {
        Self { sums: [0; RANKS + 1], calls: 0 }
    }
}

impl Half {
    fn clear(&mut self) {
        *self = Self::default();
    }

    fn count(&mut self, priority: Priority) {
        self.calls += 1;
        if priority.is_exempt() {
            return;
        }
        let mut node = RANKS - priority.rank();
        while node <= RANKS {
            self.sums[node] += 1;
            node += lowest_bit(node);
        }
    }

    /// The calls of less important ranks.
    fn behind(&self, priority: Priority) -> u32 {
        self.last(RANKS - priority.rank() - 1)
    }

    /// The calls of this rank.
    fn alike(&self, priority: Priority) -> u32 {
        self.last(RANKS - priority.rank()) - self.behind(priority)
    }

    /// The calls of the last so many ranks.
    fn last(&self, ranks: usize) -> u32 {
        let (mut sum, mut node) = (0, ranks);
        while node > 0 {
            sum += self.sums[node];
            node -= lowest_bit(node);
        }
        sum
    }
}

fn lowest_bit(node: usize) -> usize {
    node & node.wrapping_neg()
}

#[cfg(test)]
mod tests;
