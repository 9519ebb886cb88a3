//! The one clock: tokio's, so that a paused runtime and a simulator drive every layer alike.
//!
//! Nothing else in the crate reads a clock. A read costs 20 to 50 ns, more than most layers do in
//! total, so every call of [`now`] is counted and has a reason.

use std::time::Duration;

pub(crate) use tokio::time::{Instant, Sleep, sleep_until};

/// Reads the clock. Needs no runtime and no time driver.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// `at + wait`, or about thirty years after `at` where the sum cannot be held.
///
/// tokio clamps its own far future to the same figure. Saturating here means that no duration a
/// caller can write, `Duration::MAX` included, is able to panic.
pub(crate) fn later(at: Instant, wait: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);
    at.checked_add(wait).unwrap_or_else(|| at + FAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_never_panics() {
        let start = now();
        assert_eq!(later(start, Duration::from_secs(1)), start + Duration::from_secs(1));
        assert!(later(start, Duration::MAX) > start);
    }
}
