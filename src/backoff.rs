//! Exponential growth with a cap, and jitter that stays inside it.

use std::time::Duration;

use crate::rng::Rng;

/// `min(cap, base * 2^(step - 1))` for step 1, 2, 3 and so on, saturating at any step.
pub(crate) fn exponential(base: Duration, cap: Duration, step: u32) -> Duration {
    let factor = 1u32.checked_shl(step.saturating_sub(1)).unwrap_or(u32::MAX);
    let grown = base.saturating_mul(factor);
    // A shift of 31 multiplies by 2^31; from there on only the cap can be meant.
    if step > 32 { if base.is_zero() { base } else { cap } } else { grown.min(cap) }
}

/// Equal jitter: half of the delay is kept, the other half is drawn.
///
/// The form for a circuit's open time: full jitter could draw 0 and probe a service that was
/// found dead a microsecond ago. Source: Brooker, "Exponential Backoff And Jitter", AWS
/// Architecture Blog, 2015.
pub(crate) fn equal_jitter(delay: Duration, rng: &mut Rng) -> Duration {
    rng.between(delay / 2, delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn doubles_up_to_the_cap_at_any_step() {
        let cap = 60 * SECOND;
        let delays: Vec<_> = (1..=8).map(|k| exponential(SECOND, cap, k).as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60]);
        for step in [31, 32, 33, 34, 64, 100_000, u32::MAX] {
            assert_eq!(exponential(SECOND, cap, step), cap, "step {step}");
            assert_eq!(exponential(Duration::ZERO, cap, step), Duration::ZERO);
        }
        assert_eq!(exponential(SECOND, Duration::MAX, 0), SECOND);
    }

    #[test]
    fn equal_jitter_keeps_at_least_half() {
        let mut rng = Rng::new(Some(3));
        for _ in 0..1000 {
            let jittered = equal_jitter(SECOND, &mut rng);
            assert!(SECOND / 2 <= jittered && jittered <= SECOND);
        }
    }
}
