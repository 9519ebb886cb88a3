//! `grpc-retry-pushback-ms`: reading what a server said, and saying it.

use std::time::Duration;

use http::HeaderMap;

use crate::http::LONGEST_HINT;
use crate::rejected::{Reason, Rejected};

pub(super) const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// What a server says about a further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushback {
    /// After exactly this long.
    After(Duration),
    /// Not at all: it said a negative number, or nothing that makes sense
    /// ([gRPC A6](https://github.com/grpc/proposal/blob/master/A6-client-retries.md)).
    Never,
}

pub(super) fn read(headers: &HeaderMap) -> Option<Pushback> {
    let mut values = headers.get_all(PUSHBACK).iter();
    let first = values.next()?;
    // Said twice, it makes no sense.
    Some(if values.next().is_some() { Pushback::Never } else { parse(first.as_bytes()) })
}

/// When the sender of `headers` wants to be asked again, if it does: for those who may ask later
/// than that, and who should not be kept away for a day by one header.
pub(super) fn hint(headers: &HeaderMap) -> Option<Duration> {
    match read(headers)? {
        Pushback::After(wait) => Some(wait.min(LONGEST_HINT)),
        Pushback::Never => None,
    }
}

/// What a refusal says in milliseconds, rounded up: its wait where it knows one.
///
/// A caller above its quota is told a second where nothing is known, since a pushback is part of
/// what `RESOURCE_EXHAUSTED` says.
pub(super) fn of(rejected: &Rejected) -> Option<u64> {
    let unknown = (rejected.reason() == Reason::RateLimited).then_some(Duration::from_secs(1));
    let wait = rejected.retry_after().or(unknown)?;
    Some(
        i32::try_from(wait.as_nanos().div_ceil(1_000_000))
            .unwrap_or(i32::MAX)
            .unsigned_abs()
            .into(),
    )
}

fn parse(value: &[u8]) -> Pushback {
    // `i32::from_str` alone would take a sign. gRPC gives the number 32 bits.
    let digits = value.iter().all(u8::is_ascii_digit);
    let millis = digits.then(|| std::str::from_utf8(value).ok()?.parse::<i32>().ok()).flatten();
    #[cfg(mutant = "negative-pushback-retried")]
    let millis = millis.or(Some(0));
    let after = |millis: i32| Duration::from_millis(millis.unsigned_abs().into());
    millis.map_or(Pushback::Never, |millis| Pushback::After(after(millis)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        let pushback = http::HeaderName::from_static(PUSHBACK);
        values.iter().map(|value| (pushback.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn milliseconds_are_exact_and_anything_else_means_never() {
        let after = |millis| Some(Pushback::After(Duration::from_millis(millis)));
        assert_eq!(read(&headers(&[])), None);
        assert_eq!(read(&headers(&["0"])), after(0));
        assert_eq!(read(&headers(&["1500"])), after(1500));
        assert_eq!(read(&headers(&["86400000"])), after(86_400_000));
        assert_eq!(read(&headers(&["2147483647"])), after(2_147_483_647));
        for never in ["", "-1", "-0", "+1", "1.5", " 1", "1s", "soon", "2147483648"] {
            assert_eq!(read(&headers(&[never])), Some(Pushback::Never), "{never:?}");
        }
        assert_eq!(read(&headers(&["10", "10"])), Some(Pushback::Never));
    }

    #[test]
    fn a_hint_is_capped_and_never_is_none() {
        assert_eq!(hint(&headers(&["1500"])), Some(Duration::from_millis(1500)));
        assert_eq!(hint(&headers(&["300001"])), Some(LONGEST_HINT));
        for none in ["-1", "soon"] {
            assert_eq!(hint(&headers(&[none])), None);
        }
        assert_eq!(hint(&headers(&[])), None);
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
        assert_eq!(of(Reason::CircuitOpen, Some(Duration::MAX)), Some(2_147_483_647));
    }

    proptest! {
        #[test]
        fn only_a_number_that_is_not_negative_says_when(
            value in prop_oneof![any::<Vec<u8>>(), "-?[0-9]{0,30}".prop_map(String::into_bytes)],
        ) {
            if let Pushback::After(wait) = parse(&value) {
                let digits = std::str::from_utf8(&value).unwrap().trim_start_matches('0');
                let said = wait.as_millis().to_string();
                prop_assert_eq!(said.trim_start_matches('0'), digits);
            }
        }
    }
}
