//! [`Signal`]: overload that the layer cannot see by itself.

use std::fmt;
use std::sync::Arc;

use crate::sync::{AtomicU64, Ordering};

/// A gauge of overload.
///
/// The level is the share of calls to refuse: at 0 none, at 0.3 three in ten, at 1 all but the
/// exempt. Outside of that range it counts as the nearer bound, and NaN as 0: a gauge that has
/// nothing to say takes no service down. Of several signals the highest counts.
///
/// Asked once for each call, under no lock: it should cost no more than a load. Where the figure is
/// dear, measure it elsewhere and [`set`](Gauge::set) a [`Gauge`].
///
/// Implemented by closures `Fn() -> f64`, by [`Gauge`], and by an `Arc` of a signal.
///
/// ```
/// use buttress::load_shed::LoadShedLayer;
///
/// # let queued = std::sync::atomic::AtomicU32::new(0);
/// let layer = LoadShedLayer::builder()
///     // Nothing up to 800 jobs, everything from 1000 on.
///     .signal(move || (f64::from(queued.load(std::sync::atomic::Ordering::Relaxed)) - 800.0) / 200.0)
///     .build();
/// # let _ = layer;
/// ```
pub trait Signal: Send + Sync {
    /// The share of calls to refuse now, from 0 to 1.
    fn level(&self) -> f64;
}

impl<F> Signal for F
where
    F: Fn() -> f64 + Send + Sync,
{
    fn level(&self) -> f64 {
        self()
    }
}

impl<T> Signal for Arc<T>
where
    T: Signal + ?Sized,
{
    fn level(&self) -> f64 {
        (**self).level()
    }
}

/// A [`Signal`] that is set from outside: by whoever measures memory, the delay of the runtime, or
/// the state of a dependency. Starts at 0; keep a clone to set it.
///
/// ```
/// use buttress::load_shed::{Gauge, LoadShedLayer};
///
/// let memory = Gauge::new();
/// let layer = LoadShedLayer::builder().signal(memory.clone()).build();
/// // Now and then, in a task that reads how much is in use:
/// memory.set(0.25);
/// # let _ = layer;
/// ```
#[derive(Clone)]
pub struct Gauge {
    bits: Arc<AtomicU64>,
}

impl Gauge {
    /// A gauge at 0.
    #[must_use]
    pub fn new() -> Self {
        Self { bits: Arc::new(AtomicU64::new(0.0_f64.to_bits())) }
    }

    /// Sets the share of calls to refuse from now on.
    pub fn set(&self, level: f64) {
        self.bits.store(level.to_bits(), Ordering::Relaxed);
    }
}

impl Default for Gauge {
    fn default() -> Self {
        Self::new()
    }
}

impl Signal for Gauge {
    fn level(&self) -> f64 {
        f64::from_bits(self.bits.load(Ordering::Relaxed))
    }
}

impl fmt::Debug for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gauge").field(&self.level()).finish()
    }
}

/// All the signals of a layer.
#[derive(Default)]
pub(super) struct Signals(Vec<Box<dyn Signal>>);

impl Signals {
    pub(super) fn push(&mut self, signal: impl Signal + 'static) {
        self.0.push(Box::new(signal));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The highest level, from 0 to 1.
    pub(super) fn level(&self) -> f64 {
        // `f64::max` passes NaN over.
        self.0.iter().fold(0.0_f64, |highest, signal| highest.max(signal.level())).min(1.0)
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} signals", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_signals_the_highest_counts_and_nonsense_is_the_nearer_bound() {
        let level = |levels: &[f64]| {
            let mut signals = Signals::default();
            for level in levels.iter().copied() {
                signals.push(move || level);
            }
            signals.level()
        };
        let cases: [(&[f64], f64); 6] = [
            (&[], 0.0),
            (&[0.2, 0.7, 0.3], 0.7),
            (&[f64::NAN], 0.0),
            (&[f64::NAN, 0.4, f64::NAN], 0.4),
            (&[-3.0], 0.0),
            (&[0.1, f64::INFINITY], 1.0),
        ];
        for (levels, highest) in cases {
            assert!((level(levels) - highest).abs() < f64::EPSILON, "{levels:?}");
        }
    }
}
