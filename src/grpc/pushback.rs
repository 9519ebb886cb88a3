//! `grpc-retry-pushback-ms`: reading what a server said, and saying it.

use std::time::Duration;

use http::HeaderMap;

use crate::http::LONGEST_HINT;
use crate::rejected::{Reason, Rejected};

pub(super) const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// When the sender of `headers` wants to be asked again. A negative value, which asks for no
/// further attempt, is no hint, and neither is rubbish.
pub(super) fn hint(headers: &HeaderMap) -> Option<Duration> {
    parse(headers.get(PUSHBACK)?.as_bytes())
}

/// What a refusal says in milliseconds, rounded up: its wait where it knows one.
///
/// A caller above its quota is told a second where nothing is known, since a pushback is part of
/// what `RESOURCE_EXHAUSTED` says.
pub(super) fn of(rejected: &Rejected) -> Option<u64> {
    let unknown = (rejected.reason() == Reason::RateLimited).then_some(Duration::from_secs(1));
    let wait = rejected.retry_after().or(unknown)?;
    Some(u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX))
}

fn parse(value: &[u8]) -> Option<Duration> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // Digits too many to hold are a long time, not rubbish.
    let millis = std::str::from_utf8(value).ok()?.parse().unwrap_or(u64::MAX);
    Some(Duration::from_millis(millis).min(LONGEST_HINT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn milliseconds_are_read_and_rubbish_is_ignored() {
        assert_eq!(parse(b"0"), Some(Duration::ZERO));
        assert_eq!(parse(b"1500"), Some(Duration::from_millis(1500)));
        assert_eq!(parse(b"300001"), Some(LONGEST_HINT));
        assert_eq!(parse(b"99999999999999999999999"), Some(LONGEST_HINT));
        for rubbish in ["", "-1", "+1", "1.5", " 1", "1s"] {
            assert_eq!(parse(rubbish.as_bytes()), None, "{rubbish:?}");
        }
    }

    #[test]
    fn a_wait_is_rounded_up_and_a_quota_has_always_one() {
        let of = |reason, wait: Option<Duration>| {
            let rejected = Rejected::new(reason);
            of(&wait.map_or(rejected.clone(), |wait| rejected.after(wait)))
        };
        assert_eq!(of(Reason::CircuitOpen, None), None);
        assert_eq!(of(Reason::RateLimited, None), Some(1000));
        assert_eq!(of(Reason::CircuitOpen, Some(Duration::from_micros(1))), Some(1));
        assert_eq!(of(Reason::RateLimited, Some(Duration::ZERO)), Some(0));
        assert_eq!(of(Reason::CircuitOpen, Some(Duration::MAX)), Some(u64::MAX));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_or_ask_for_more_than_the_longest_hint(
            value in prop_oneof![any::<Vec<u8>>(), "-?[0-9]{0,30}".prop_map(String::into_bytes)],
        ) {
            if let Some(wait) = parse(&value) {
                prop_assert!(wait <= LONGEST_HINT);
            }
        }
    }
}
