//! The limits that a project allows by default, as far as the layer allows them too.

use buttress::adaptive_limit::Range;

#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Bounds {
    /// A project's own bounds and first limit, and those of the layer.
    pub(super) fn begin(range: Range, min: usize, initial: usize, max: usize) -> (Self, f64) {
        let range = narrowed(range, min, initial, max);
        let bounds = Self { min: float(range.min), max: float(range.max) };
        (bounds, float(range.initial.unwrap_or(initial)))
    }

    pub(super) fn hold(self, limit: f64) -> f64 {
        limit.max(self.min).min(self.max)
    }
}

/// The layer's range, narrowed to the project's own.
pub(super) fn narrowed(mut range: Range, min: usize, initial: usize, max: usize) -> Range {
    let floor = range.min.max(1);
    range.max = range.max.min(max).max(floor);
    range.min = floor.max(min).min(range.max);
    range.initial = Some(range.initial.unwrap_or(initial).clamp(range.min, range.max));
    range
}

#[allow(clippy::cast_precision_loss, reason = "counts of calls are far below 2^53")]
pub(super) fn float(count: usize) -> f64 {
    count as f64
}
