//! `Retry-After`: reading what a server said, and saying it.

use std::time::{Duration, SystemTime};

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue};

/// The longest hint that is believed: a header must not be able to stop a client for a day.
pub(crate) const LONGEST_HINT: Duration = Duration::from_secs(5 * 60);

/// When the sender of `headers` wants to be asked again. Rubbish is no hint.
pub(crate) fn hint(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.as_bytes();
    // Against the sender's own date, where there is one: the two clocks need not agree then.
    parse(value, || headers.get(DATE).and_then(|date| parse_date(date.as_bytes())))
}

/// How to say `wait`: in whole seconds, rounded up so that nobody comes too early.
pub(crate) fn value(wait: Duration) -> HeaderValue {
    HeaderValue::from(seconds(wait))
}

/// In whole seconds, rounded up.
pub(crate) fn seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0))
}

fn parse(value: &[u8], sent: impl FnOnce() -> Option<SystemTime>) -> Option<Duration> {
    let value = value.trim_ascii();
    let wait = if let Some(seconds) = parse_seconds(value) {
        seconds
    } else {
        // A date in the past asks for no wait.
        let date = parse_date(value)?;
        date.duration_since(sent().unwrap_or_else(wall_time)).unwrap_or_default()
    };
    Some(wait.min(LONGEST_HINT))
}

// A date that came over the wire means wall time. No layer decides by this clock.
#[allow(clippy::disallowed_methods)]
fn wall_time() -> SystemTime {
    SystemTime::now()
}

fn parse_seconds(value: &[u8]) -> Option<Duration> {
    // `u64::from_str` alone would take a sign.
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // Digits too many to hold are a long time, not rubbish.
    let seconds = std::str::from_utf8(value).ok()?.parse().unwrap_or(u64::MAX);
    Some(Duration::from_secs(seconds))
}

fn parse_date(value: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hint_of(pairs: &[(&'static str, &str)]) -> Option<u64> {
        let pairs = pairs.iter().map(|(name, value)| {
            (name.parse().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        });
        hint(&pairs.collect()).map(|wait| wait.as_secs())
    }

    #[test]
    fn seconds_are_read_and_rubbish_is_ignored() {
        let retry_after = |value| hint_of(&[("retry-after", value)]);
        assert_eq!(retry_after("0"), Some(0));
        assert_eq!(retry_after("17"), Some(17));
        assert_eq!(retry_after(" 17 "), Some(17));
        assert_eq!(retry_after("300"), Some(300));
        assert_eq!(retry_after("301"), Some(300));
        assert_eq!(retry_after("99999999999999999999999999"), Some(300));
        for rubbish in ["", " ", "-1", "+1", "1.5", "1s", "1 2", "soon", "\u{e9}", "Sun, 06 Nov"] {
            assert_eq!(retry_after(rubbish), None, "{rubbish:?}");
        }
        assert_eq!(hint_of(&[]), None);
    }

    #[test]
    fn the_three_forms_of_a_date_are_compared_with_the_date_of_the_response() {
        let forms = [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ];
        for form in forms {
            let against = |date| hint_of(&[("retry-after", form), ("date", date)]);
            assert_eq!(against("Sun, 06 Nov 1994 08:49:07 GMT"), Some(30), "{form}");
            assert_eq!(against("Sun, 06 Nov 1994 08:49:37 GMT"), Some(0), "{form}");
            assert_eq!(against("Mon, 07 Nov 1994 08:49:37 GMT"), Some(0), "{form}");
            assert_eq!(against("Sat, 05 Nov 1994 08:49:37 GMT"), Some(300), "{form}");
        }
    }

    #[test]
    fn a_date_is_compared_with_the_wall_clock_where_the_response_has_none() {
        let past = "Sun, 06 Nov 1994 08:49:37 GMT";
        let in_two_minutes = httpdate::fmt_http_date(wall_time() + Duration::from_secs(120));
        assert_eq!(hint_of(&[("retry-after", past)]), Some(0));
        assert_eq!(hint_of(&[("retry-after", past), ("date", "rubbish")]), Some(0));
        let hint = hint_of(&[("retry-after", &in_two_minutes)]).unwrap();
        assert!((110..=120).contains(&hint), "{hint}");
    }

    #[test]
    fn a_wait_is_said_in_seconds_rounded_up() {
        let said = |wait| value(wait).to_str().unwrap().to_owned();
        assert_eq!(said(Duration::ZERO), "0");
        assert_eq!(said(Duration::from_nanos(1)), "1");
        assert_eq!(said(Duration::from_secs(1)), "1");
        assert_eq!(said(Duration::from_millis(1001)), "2");
        assert_eq!(said(Duration::MAX), u64::MAX.to_string());
    }

    /// Text near enough to a date to get deep into its parser.
    fn date_like() -> impl Strategy<Value = Vec<u8>> {
        let pieces = prop::sample::select(vec![
            "Sun", "Sunday", "Mon", ", ", "-", " ", "  ", ":", "06", "31", "99", "Nov", "Feb",
            "1994", "94", "0000", "9999", "08:49:37", "24:60:60", " GMT", "GMT", "\u{e9}",
        ]);
        prop::collection::vec(pieces, 0..9).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn no_bytes_panic_or_ask_for_more_than_the_longest_hint(
            value in prop_oneof![any::<Vec<u8>>(), date_like(), "[0-9]{0,30}".prop_map(String::into_bytes)],
            date in prop_oneof![any::<Vec<u8>>(), date_like()],
        ) {
            if let Some(wait) = parse(&value, || parse_date(&date)) {
                prop_assert!(wait <= LONGEST_HINT);
            }
        }

        #[test]
        fn what_is_said_is_read_as_at_least_what_was_meant(millis in 0..=300_000_u64) {
            let meant = Duration::from_millis(millis);
            let read = parse(value(meant).as_bytes(), || None).unwrap();
            prop_assert!(read >= meant && read < meant + Duration::from_secs(1));
        }
    }
}
