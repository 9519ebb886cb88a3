//! The algorithm until there is the default one.

use crate::adaptive_limit::{Algorithm, Ended, Outcome, Range};

/// One more for each limitful of answers while calls are refused, a tenth less for each call that
/// timed out or was told that there are too many.
#[derive(Debug, Default)]
pub struct Cohort {
    limit: f64,
    range: Option<Range>,
}

impl Algorithm for Cohort {
    #[allow(clippy::cast_precision_loss)]
    fn begin(&mut self, range: Range) {
        self.limit = range.initial.unwrap_or(20).clamp(range.min, range.max) as f64;
        self.range = Some(range);
    }

    fn limit(&self) -> f64 {
        self.limit
    }

    #[allow(clippy::cast_precision_loss)]
    fn ended(&mut self, call: &Ended) {
        let (min, max) = self.range.map_or((1.0, 1.0), |r| (r.min as f64, r.max as f64));
        self.limit = match call.outcome {
            Outcome::Answered if call.pressed => self.limit + 1.0 / self.limit,
            Outcome::TimedOut | Outcome::Overloaded => self.limit * 0.9,
            _ => self.limit,
        }
        .clamp(min, max);
    }
}
