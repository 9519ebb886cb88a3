//! [`Bounds`]: the allowed limits, as an algorithm that counts in fractions holds to them.

use super::Range;

#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    min: f64,
    max: f64,
}

impl Bounds {
    /// Before [`Algorithm::begin`](super::Algorithm::begin).
    pub(super) const ANY: Self = Self { min: 1.0, max: f64::INFINITY };

    /// Those of the range, and the limit to begin with: that of the range, where it names one.
    #[expect(clippy::cast_precision_loss, reason = "limits are far below 2^53")]
    pub(super) fn begin(range: Range, usual: f64) -> (Self, f64) {
        let bounds = Self { min: range.min as f64, max: range.max as f64 };
        (bounds, bounds.hold(range.initial.map_or(usual, |initial| initial as f64)))
    }

    /// The nearest allowed limit; the least, of what is no number.
    pub(super) fn hold(self, limit: f64) -> f64 {
        limit.max(self.min).min(self.max)
    }
}
