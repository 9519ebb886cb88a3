//! How the time left is written in a header: pure, and the same in both directions.

use std::time::Duration;

/// How the time left is written in a header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeaderFormat {
    /// As gRPC writes `grpc-timeout`: 1 to 8 digits and one of `H`, `M`, `S`, `m`, `u`, `n`.
    #[default]
    Grpc,
    /// 1 to 8 digits, in milliseconds, as proxies write it.
    Millis,
}

/// The units of gRPC, the finest first.
const UNITS: [(u8, Duration); 6] = [
    (b'n', Duration::from_nanos(1)),
    (b'u', Duration::from_micros(1)),
    (b'm', Duration::from_millis(1)),
    (b'S', Duration::from_secs(1)),
    (b'M', Duration::from_secs(60)),
    (b'H', Duration::from_secs(60 * 60)),
];

const DIGITS: usize = 8;
const LARGEST: u32 = 99_999_999;

/// Digits and a unit, as gRPC wants them.
pub(super) fn read_grpc(text: &[u8]) -> Option<Duration> {
    let (last, digits) = text.split_last()?;
    let (_, unit) = UNITS.iter().find(|(letter, _)| letter == last)?;
    Some(*unit * number(digits)?)
}

/// The same, or digits alone.
pub(super) fn read_any(text: &[u8]) -> Option<Duration> {
    let millis = number(text).map(|millis| Duration::from_millis(millis.into()));
    millis.or_else(|| read_grpc(text))
}

/// 1 to 8 digits and nothing else. `str::parse` would take a sign.
fn number(digits: &[u8]) -> Option<u32> {
    if !(1..=DIGITS).contains(&digits.len()) {
        return None;
    }
    digits.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'))
    })
}

/// What stands for a time in a header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    bytes: [u8; DIGITS + 1],
    start: usize,
}

impl Written {
    /// Never stands for a longer time than this; `None` where it would stand for none at all.
    pub(super) fn new(time: Duration, format: HeaderFormat) -> Option<Self> {
        let (number, unit) = match format {
            HeaderFormat::Grpc => UNITS
                .iter()
                .map(|(letter, unit)| (whole(time, *unit), Some(*letter)))
                .find(|(number, _)| *number <= LARGEST)
                .unwrap_or((LARGEST, Some(b'H'))),
            HeaderFormat::Millis => (whole(time, Duration::from_millis(1)).min(LARGEST), None),
        };
        (number > 0).then(|| Self::of(number, unit))
    }

    fn of(mut number: u32, unit: Option<u8>) -> Self {
        let mut written = Self { bytes: [b'0'; DIGITS + 1], start: DIGITS + 1 };
        let mut push = |byte: u8| {
            written.start -= 1;
            written.bytes[written.start] = byte;
        };
        if let Some(letter) = unit {
            push(letter);
        }
        while number > 0 {
            push(b'0' + u8::try_from(number % 10).expect("a digit"));
            number /= 10;
        }
        written
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[self.start..]).expect("digits and a letter")
    }
}

/// How many whole units a time has; `u32::MAX` is that or more.
fn whole(time: Duration, unit: Duration) -> u32 {
    #[cfg(mutant = "deadline-rounded-up")]
    let time = time.saturating_add(unit);
    u32::try_from(time.as_nanos() / unit.as_nanos()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(time: Duration, format: HeaderFormat) -> Option<String> {
        Written::new(time, format).map(|written| written.as_str().to_owned())
    }

    #[test]
    fn one_to_eight_digits_and_a_unit_and_nothing_else() {
        for (text, time) in [
            ("1H", Duration::from_secs(3600)),
            ("02M", Duration::from_secs(120)),
            ("0S", Duration::ZERO),
            ("99999999m", Duration::from_millis(99_999_999)),
            ("00000007u", Duration::from_micros(7)),
            ("1n", Duration::from_nanos(1)),
            ("99999999H", Duration::from_secs(99_999_999 * 3600)),
        ] {
            assert_eq!(read_grpc(text.as_bytes()), Some(time), "{text}");
            assert_eq!(read_any(text.as_bytes()), Some(time), "{text}");
        }
        for text in [
            "",
            "S",
            "5",
            "100000000n",
            "000000001S",
            "+1S",
            "-1S",
            " 1S",
            "1S ",
            "1 S",
            "1s",
            "1h",
            "1.5S",
            "1e3m",
            "1SS",
            "0x1S",
            "\u{661}S",
            "1S,2S",
            "H1",
            "1\0S",
            "\t",
            "1\u{b5}",
        ] {
            assert_eq!(read_grpc(text.as_bytes()), None, "{text:?}");
            let plain = text.len() <= 8 && text.parse::<u32>().is_ok();
            assert_eq!(read_any(text.as_bytes()).is_some(), plain, "{text:?}");
        }
        assert_eq!(read_any(b"250"), Some(Duration::from_millis(250)));
        assert_eq!(read_any(b"99999999"), Some(Duration::from_millis(99_999_999)));
        assert_eq!(read_any(b"100000000"), None);
        assert_eq!(read_grpc(&[b'1', 0xff, b'S']), None);
    }

    #[test]
    fn the_finest_unit_that_fits_is_written_and_rounded_down() {
        for (time, text) in [
            (Duration::from_nanos(1), "1n"),
            (Duration::from_nanos(99_999_999), "99999999n"),
            (Duration::from_nanos(100_000_999), "100000u"),
            (Duration::from_micros(99_999_999), "99999999u"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_millis(99_999_999), "99999999m"),
            (Duration::from_secs(100_000), "100000S"),
            (Duration::from_secs(99_999_999), "99999999S"),
            (Duration::from_secs(100_000_000), "1666666M"),
            (Duration::from_secs(99_999_999 * 60 + 60), "1666666H"),
            (Duration::MAX, "99999999H"),
        ] {
            assert_eq!(written(time, HeaderFormat::Grpc).as_deref(), Some(text));
        }
        assert_eq!(written(Duration::ZERO, HeaderFormat::Grpc), None);
        assert_eq!(written(Duration::from_micros(999), HeaderFormat::Millis), None);
        let millis = |time| written(time, HeaderFormat::Millis).unwrap();
        assert_eq!(millis(Duration::from_micros(1999)), "1");
        assert_eq!(millis(Duration::MAX), "99999999");
    }

    /// Times of every order of magnitude.
    fn times() -> impl Strategy<Value = Duration> {
        let spread = (0_u32..64).prop_flat_map(|bits| 0_u64..=(u64::MAX >> bits));
        prop_oneof![
            spread.clone().prop_map(Duration::from_nanos),
            spread.prop_map(Duration::from_secs),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_and_read_again_is_never_longer(time in times()) {
            if let Some(text) = written(time, HeaderFormat::Grpc) {
                let read = read_grpc(text.as_bytes()).expect("it can be read");
                prop_assert!(read <= time);
                // Five digits are left, at the least, when a coarser unit has to do.
                if time < Duration::from_secs(99_999_999 * 3600) {
                    let lost = time.saturating_sub(read);
                    prop_assert!(lost <= time / 99_999, "{time:?}: {text}");
                }
            } else {
                prop_assert_eq!(time, Duration::ZERO);
            }
            if let Some(text) = written(time, HeaderFormat::Millis) {
                let read = read_any(text.as_bytes()).expect("it can be read");
                prop_assert!(read <= time);
            } else {
                prop_assert!(time < Duration::from_millis(1));
            }
        }

        #[test]
        fn whatever_can_be_read_follows_the_grammar(text in proptest::collection::vec(any::<u8>(), 0..12)) {
            follows(&text)?;
        }

        #[test]
        fn nearly_good_texts_too(text in "[ +-]?[0-9]{0,10}[HMSmun0-9 ]?[ ,a-z]?") {
            follows(text.as_bytes())?;
        }
    }

    fn follows(text: &[u8]) -> Result<(), TestCaseError> {
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let good = (1..=8).contains(&digits);
        let unit = matches!(&text[digits..], [b'H' | b'M' | b'S' | b'm' | b'u' | b'n']);
        prop_assert_eq!(read_grpc(text).is_some(), good && unit);
        prop_assert_eq!(read_any(text).is_some(), good && (unit || text.len() == digits));
        Ok(())
    }
}
