//! Which seeds to run, as the environment says.

use std::env;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

/// The seeds that the environment asks for, or the `usual` ones: for tests that run something of
/// their own for each. `SIM_SEED=0x2a` asks for one, `SIM_SEEDS=0..20000` for several.
/// [`Check`](super::Check) reads them by itself.
///
/// # Panics
///
/// If the environment names no seeds: with the variable, its value, and what is allowed.
#[must_use]
pub fn seeds(usual: Range<u64>) -> Range<u64> {
    match Seeds::from_env() {
        Ok(asked) => asked.seeds.unwrap_or(usual),
        Err(error) => panic!("{error}"),
    }
}

/// `SIM_SEED`, `SIM_SEEDS`, `SIM_SECONDS`.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Seeds {
    /// These, where they are named.
    pub(super) seeds: Option<Range<u64>>,
    /// For how long, where it is limited.
    pub(super) within: Option<Duration>,
}

/// A variable of the environment that makes no sense.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadVariable {
    name: &'static str,
    value: String,
    allowed: &'static str,
}

impl fmt::Display for BadVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {:?}, allowed is {}", self.name, self.value, self.allowed)
    }
}

impl Seeds {
    pub(super) fn from_env() -> Result<Self, BadVariable> {
        let value =
            |name: &'static str| env::var_os(name).map(|v| v.to_string_lossy().into_owned());
        Self::parse(value("SIM_SEED"), value("SIM_SEEDS"), value("SIM_SECONDS"))
    }

    fn parse(
        seed: Option<String>,
        seeds: Option<String>,
        seconds: Option<String>,
    ) -> Result<Self, BadVariable> {
        let one = read("SIM_SEED", seed, "a seed: 42 or 0x2a", |text| {
            let seed = number(text)?;
            Some(seed..seed.checked_add(1)?)
        })?;
        let several = read("SIM_SEEDS", seeds, "a range that is not empty: 0..20000", |text| {
            let (from, to) = text.split_once("..")?;
            let range = number(from)?..number(to)?;
            (!range.is_empty()).then_some(range)
        })?;
        let within = read("SIM_SECONDS", seconds, "a number of seconds: 60", |text| {
            Duration::try_from_secs_f64(text.parse().ok()?).ok()
        })?;
        Ok(Self { seeds: one.or(several), within })
    }
}

fn read<T>(
    name: &'static str,
    value: Option<String>,
    allowed: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, BadVariable> {
    let Some(value) = value else { return Ok(None) };
    match parse(value.trim()) {
        Some(parsed) => Ok(Some(parsed)),
        None => Err(BadVariable { name, value, allowed }),
    }
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(seed: &str, seeds: &str, seconds: &str) -> Result<Seeds, BadVariable> {
        let set = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Seeds::parse(set(seed), set(seeds), set(seconds))
    }

    #[test]
    fn one_seed_several_seeds_and_a_time() {
        assert_eq!(parse("", "", ""), Ok(Seeds::default()));
        assert_eq!(parse("0x2a", "", "").unwrap().seeds, Some(42..43));
        assert_eq!(parse("", "7..0x10", "").unwrap().seeds, Some(7..16));
        assert_eq!(parse("3", "7..9", "").unwrap().seeds, Some(3..4));
        assert_eq!(parse("", "", "1.5").unwrap().within, Some(Duration::from_millis(1500)));
    }

    #[test]
    fn nonsense_is_named_with_its_value_and_what_is_allowed() {
        let says = |seed, seeds, seconds| parse(seed, seeds, seconds).unwrap_err().to_string();
        assert_eq!(says("x", "", ""), r#"SIM_SEED is "x", allowed is a seed: 42 or 0x2a"#);
        assert!(says("", "9..9", "").starts_with(r#"SIM_SEEDS is "9..9", allowed is a range"#));
        assert!(says("", "9", "").contains("SIM_SEEDS"));
        assert!(says("", "", "-1").contains("SIM_SECONDS"));
        assert!(says("18446744073709551615", "", "").contains("SIM_SEED"));
    }
}
