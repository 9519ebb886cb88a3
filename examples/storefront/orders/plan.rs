//! What every customer does: drawn before the run, and the same for both storefronts.

use std::ops::Range;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// Orders a second, on average: a few percent of the load of the other routes.
const RATE: f64 = 20.0;

/// No order comes in the last second of the run, so that each of them can end within it.
const LAST: Duration = Duration::from_secs(1);

/// When a connection is cut, in milliseconds from when the request was sent: somewhere in the 60
/// that the handler takes.
const CUT: Range<u64> = 5..58;

/// A customer with something to order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Order {
    /// What is ordered, and so what the key is made of.
    pub(crate) cart: usize,
    /// When it is first sent, from the start of the run.
    pub(crate) at: Duration,
    /// What becomes of the first attempts.
    pub(crate) cuts: Vec<Cut>,
    pub(crate) habit: Habit,
}

/// How an attempt loses its connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cut {
    pub(crate) after: Duration,
    /// By a reset (RST), as when a phone is switched off; else it is closed (FIN).
    pub(crate) reset: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Sends the order until there is an answer.
    Persists,
    /// And sends it once more after that: a page is loaded again.
    Reloads,
    /// Never comes back once the connection is lost.
    Leaves,
}

/// Three of five lose their first connection, and one in four of these the second as well.
pub(crate) fn orders(length: Duration, seed: u64) -> Vec<Order> {
    let mut chance = SmallRng::seed_from_u64(seed);
    let mut all = Vec::new();
    let mut at = Duration::ZERO;
    loop {
        at += Duration::from_secs_f64(-(1.0 - chance.random::<f64>()).ln() / RATE);
        if at >= length.saturating_sub(LAST) {
            return all;
        }
        let cuts = match chance.random_range(0..20) {
            0..8 => 0,
            8..17 => 1,
            _ => 2,
        };
        let cuts = (0..cuts).map(|_| Cut {
            after: Duration::from_millis(chance.random_range(CUT)),
            reset: chance.random(),
        });
        let cuts = cuts.collect();
        let habit = match chance.random_range(0..8) {
            0 => Habit::Leaves,
            1..4 => Habit::Reloads,
            _ => Habit::Persists,
        };
        all.push(Order { cart: all.len(), at, cuts, habit });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_the_orders_and_the_shares_are_as_promised() {
        let length = Duration::from_secs(500);
        let all = orders(length, 1);
        assert_eq!(all, orders(length, 1));
        assert_ne!(all, orders(length, 2));
        assert!(all.iter().enumerate().all(|(cart, order)| order.cart == cart));
        assert!(all.iter().all(|order| order.at + LAST < length));
        assert!((9_500..10_500).contains(&all.len()), "{} of about 10,000", all.len());
        let cut = all.iter().filter(|order| !order.cuts.is_empty()).count();
        assert!((5_500..6_500).contains(&cut), "{cut} of about 6,000");
        for habit in [Habit::Persists, Habit::Reloads, Habit::Leaves] {
            assert!(all.iter().any(|order| order.habit == habit && order.cuts.len() == 2));
        }
    }
}
