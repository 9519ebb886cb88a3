//! [`Budget`]: what bounds the further attempts that retries and hedges add.

mod config;
mod in_flight;
#[cfg(all(test, any(buttress_loom, buttress_shuttle)))]
mod loom_tests;
#[cfg(any(test, fuzzing, buttress_fuzz))]
pub(crate) mod model;
#[cfg(test)]
mod model_tests;
mod ratio;
mod ring;
#[cfg(test)]
mod tests;
mod tokens;

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use crate::budget::config::{floor, units};
use crate::budget::in_flight::InFlight;
use crate::budget::ratio::Ratio;
use crate::budget::tokens::{Settings, Tokens};
use crate::classify::Class;
use crate::config::ConfigError;
use crate::time;

pub use config::BudgetConfig;

/// The parts of one attempt that are counted: four decimals of a ratio mean what they say.
const ONE: u16 = 10_000;

/// Bounds how many attempts are added to the original calls, whatever fails.
///
/// Without one, `max_attempts(3)` triples the load of a service exactly when it is down. A budget
/// is shared by its clones: give one to all layers, of retries and of hedges, that call the same
/// backend. There are three kinds:
///
/// | kind | a further attempt passes while | for |
/// | --- | --- | --- |
/// | [`ratio`](Self::ratio) (the default, with 0.2) | those of the last 10 s stay below the floor plus a ratio of the original calls in that time | most uses |
/// | [`in_flight`](Self::in_flight) | those in flight stay within a ratio of the original calls in flight | calls of very different lengths |
/// | [`tokens`](Self::tokens) | failures have not used up half of the tokens | parity with gRPC |
///
/// All are lock-free. An original call costs one addition to a counter that few threads share.
///
/// The setters make a new budget, which shares nothing with the one they are called on: set up
/// first, then clone.
///
/// ```
/// use std::time::Duration;
/// use buttress::retry::Budget;
///
/// let budget = Budget::ratio(0.1).per(Duration::from_secs(30)).at_least(2);
/// assert_eq!(budget.available(), 60.0); // The floor, as there were no calls yet.
/// let shared = budget.clone();
/// ```
#[derive(Clone)]
pub struct Budget {
    inner: Arc<Inner>,
}

struct Inner {
    kind: Kind,
    config: BudgetConfig,
    /// A setter that does not belong to the kind.
    misplaced: Option<Misplaced>,
}

#[derive(Clone, Copy)]
struct Misplaced {
    setting: &'static str,
    belongs: &'static str,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // One for each budget, and never moved.
#[repr(u8)] // Or the tag hides in a field's spare values, and every call computes it.
enum Kind {
    Ratio(Ratio),
    InFlight(InFlight),
    Tokens(Tokens),
}

impl Budget {
    /// `ratio` further attempts for each original call of the last 10 s, and in any case 10 for
    /// each second of those. Set the two by [`per`](Self::per) and [`at_least`](Self::at_least).
    ///
    /// Exact to four decimals. In any stretch of `per` that ends with a further attempt there are
    /// at most `ratio` times the original calls in it, plus the floor. What speed costs in
    /// precision is always to that side: with steady traffic at most two percent are missing, and
    /// after the traffic fell to a 64th of what it was, up to one window of its deposits.
    #[must_use]
    pub fn ratio(ratio: f64) -> Self {
        let (per, at_least) = (Duration::from_secs(10), 10);
        BudgetConfig::Ratio { ratio, per, at_least }.into()
    }

    /// `ratio` further attempts in flight for each original call in flight, and in any case 3. Set
    /// the latter by [`at_least`](Self::at_least).
    ///
    /// A further attempt is in flight from the decision to make it, so through its delay.
    #[must_use]
    pub fn in_flight(ratio: f64) -> Self {
        BudgetConfig::InFlight { ratio, at_least: 3 }.into()
    }

    /// The throttling of gRPC clients ([gRFC A6]): of `max` tokens each failed attempt takes one
    /// (see [`costs`](Self::costs)), each success gives `ratio`, and further attempts pass while
    /// more than half are there. Starts full. Permanent failures change nothing.
    ///
    /// [gRFC A6]: https://github.com/grpc/proposal/blob/master/A6-client-retries.md
    #[must_use]
    pub fn tokens(max: u32, ratio: f64) -> Self {
        BudgetConfig::Tokens { max, ratio, transient_cost: 1, overload_cost: 1 }.into()
    }

    /// How long an original call counts: 100 ms to 24 h, by default 10 s. Of a
    /// [`ratio`](Self::ratio) budget alone. Makes a new, separate budget.
    #[must_use]
    pub fn per(self, per: Duration) -> Self {
        self.changed("budget.per", "set on a ratio budget", |config| {
            let BudgetConfig::Ratio { per: old, .. } = config else { return false };
            *old = per;
            true
        })
    }

    /// The further attempts that pass in any case: so many for each second of `per` in a
    /// [`ratio`](Self::ratio) budget (by default 10), so many in flight in an
    /// [`in_flight`](Self::in_flight) budget (by default 3). Makes a new, separate budget.
    #[must_use]
    pub fn at_least(self, at_least: u32) -> Self {
        self.changed("budget.at_least", "set on a ratio or in_flight budget", |config| {
            let (BudgetConfig::Ratio { at_least: old, .. }
            | BudgetConfig::InFlight { at_least: old, .. }) = config
            else {
                return false;
            };
            *old = at_least;
            true
        })
    }

    /// What a transient failure and an overload take: by default 1 each, at most all the tokens,
    /// not both nothing. Of a [`tokens`](Self::tokens) budget alone. Makes a new, separate budget.
    #[must_use]
    pub fn costs(self, transient: u32, overload: u32) -> Self {
        self.changed("budget.costs", "set on a tokens budget", |config| {
            let BudgetConfig::Tokens { transient_cost, overload_cost, .. } = config else {
                return false;
            };
            (*transient_cost, *overload_cost) = (transient, overload);
            true
        })
    }

    fn changed(
        self,
        setting: &'static str,
        belongs: &'static str,
        change: impl FnOnce(&mut BudgetConfig) -> bool,
    ) -> Self {
        let mut config = self.inner.config.clone();
        let fits = change(&mut config);
        let misplaced =
            if fits { self.inner.misplaced } else { Some(Misplaced { setting, belongs }) };
        Self::new(config, misplaced)
    }

    fn new(config: BudgetConfig, misplaced: Option<Misplaced>) -> Self {
        let kind = match config {
            BudgetConfig::Ratio { ratio, per, at_least } => {
                Kind::Ratio(Ratio::new(units(ratio), per, floor(at_least, per), time::now()))
            }
            BudgetConfig::InFlight { ratio, at_least } => {
                Kind::InFlight(InFlight::new(units(ratio), at_least))
            }
            BudgetConfig::Tokens { max, ratio, transient_cost, overload_cost } => {
                let whole = |tokens: u32| i64::from(tokens) * i64::from(ONE);
                Kind::Tokens(Tokens::new(Settings {
                    max: whole(max),
                    ratio: units(ratio).into(),
                    transient: whole(transient_cost),
                    overload: whole(overload_cost),
                }))
            }
        };
        Self { inner: Arc::new(Inner { kind, config, misplaced }) }
    }

    /// How many further attempts it would let pass now: of a tokens budget, if they all fail.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // A figure to look at.
    pub fn available(&self) -> f64 {
        let units = match &self.inner.kind {
            Kind::Ratio(ratio) => ratio.balance(ratio.epoch(time::now())).max(0) as f64,
            Kind::InFlight(in_flight) => in_flight.balance() as f64,
            Kind::Tokens(tokens) => tokens.balance() as f64,
        };
        units / f64::from(ONE)
    }

    /// Refuses nonsense, for the `build` of the layer that is given this budget.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        match self.inner.misplaced {
            Some(Misplaced { setting, belongs }) => {
                Err(ConfigError::new(setting, &self.inner.config, belongs))
            }
            None => self.inner.config.check(),
        }
    }

    /// An original call begins.
    #[inline(always)]
    pub(crate) fn enter(&self) {
        match &self.inner.kind {
            // One clock read in a stride of calls: the date of the deposits.
            Kind::Ratio(ratio) => ratio.deposit(|| ratio.epoch(time::now())),
            Kind::InFlight(in_flight) => in_flight.enter(),
            Kind::Tokens(_) => {}
        }
    }

    /// That call ended, in whatever way.
    #[inline(always)]
    pub(crate) fn leave(&self) {
        if let Kind::InFlight(in_flight) = &self.inner.kind {
            in_flight.leave();
        }
    }

    /// An attempt, first or further, ended like this.
    #[inline(always)]
    pub(crate) fn judged(&self, class: Class) {
        if let Kind::Tokens(tokens) = &self.inner.kind {
            tokens.judged(class);
        }
    }

    /// Pays for one further attempt; `None` if that is more than there is.
    pub(crate) fn withdraw(&self) -> Option<Withdrawal> {
        let booked = match &self.inner.kind {
            // One clock read: what counts is what there is now.
            Kind::Ratio(ratio) => NonZeroU64::new(ratio.withdraw(ratio.epoch(time::now()))?),
            Kind::InFlight(in_flight) => in_flight.withdraw().then_some(None)?,
            Kind::Tokens(tokens) => tokens.allows().then_some(None)?,
        };
        Some(Withdrawal { budget: self.inner.clone(), booked })
    }
}

impl Default for Budget {
    /// [`Budget::ratio`] with 0.2.
    fn default() -> Self {
        BudgetConfig::default().into()
    }
}

impl From<BudgetConfig> for Budget {
    fn from(config: BudgetConfig) -> Self {
        Self::new(config, None)
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("config", &self.inner.config)
            .field("available", &self.available())
            .finish_non_exhaustive()
    }
}

/// One further attempt, paid for.
///
/// Dropped before it is [`sent`](Self::sent), it gives back what it took. Dropped at all, it ends
/// the attempt for a budget that counts what is in flight.
pub(crate) struct Withdrawal {
    budget: Arc<Inner>,
    /// Where a ratio budget booked it, as long as it can be given back. No booking is under 0.
    booked: Option<NonZeroU64>,
}

impl Withdrawal {
    /// The attempt goes out: from here on it is paid for, whatever comes.
    pub(crate) fn sent(&mut self) {
        self.booked = None;
    }
}

impl Drop for Withdrawal {
    fn drop(&mut self) {
        match (&self.budget.kind, self.booked) {
            #[cfg(not(mutant = "unsent-retry-not-refunded"))]
            (Kind::Ratio(ratio), Some(booked)) => ratio.refund(booked.get()),
            (Kind::InFlight(in_flight), _) => in_flight.end(),
            _ => {}
        }
    }
}

impl fmt::Debug for Withdrawal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Withdrawal").field("booked", &self.booked).finish_non_exhaustive()
    }
}
