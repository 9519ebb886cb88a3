//! The command line.

use std::env;
use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::arguments::{self, ALLOWED_FILE, BadArgument, refused, split};
use crate::orders::stores::StoreKind;

pub(crate) const HELP: &str = "\
Runs the same traffic against a naked and a protected storefront, while payments goes through
every kind of trouble and customers lose their connections, and compares what came of it.

Usage: storefront [--seconds N] [--store KIND] [--store-url URL] [--json] [--svg PATH] [--check]
                  [--help]

  --seconds N      how long the run lasts, 5 to 600 (default: 20)
  --store KIND     what keeps the idempotency records of the orders: memory, redis or postgres
                   (default: memory); with the latter two there are two instances of each storefront
  --store-url URL  the server of these records (default: what the environment has as STORE_URL, else
                   one is started for the run)
  --json           print the figures as JSON, alone on the standard output, instead of the table
  --svg PATH       where the plot goes (default: storefront.svg beside this program)
  --check          fail with exit code 1 where the protected storefront breaks one of its promises
  --help           print this
";

/// Shorter phases than those of a 5 s run would end before a timeout or an open time does.
const SECONDS: RangeInclusive<f64> = 5.0..=600.0;

/// What the command line asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    Run(Options),
    Help,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) length: Duration,
    pub(crate) store: StoreKind,
    pub(crate) store_url: Option<String>,
    pub(crate) json: bool,
    pub(crate) check: bool,
    pub(crate) svg: PathBuf,
}

pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, BadArgument> {
    let mut options = Options {
        length: Duration::from_secs(20),
        store: StoreKind::Memory,
        store_url: None,
        json: false,
        check: false,
        svg: beside_this_program(),
    };
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let (flag, attached) = split(&arg);
        let mut value = |wanted: &str| {
            let value = attached.clone().or_else(|| args.next());
            value.ok_or_else(|| BadArgument(format!("{flag} has no value: allowed is {wanted}")))
        };
        match flag.as_str() {
            "--seconds" => options.length = seconds(&value(ALLOWED_SECONDS)?)?,
            "--store" => options.store = store(&value(ALLOWED_STORE)?)?,
            "--store-url" => options.store_url = Some(url(&value(ALLOWED_URL)?)?),
            "--svg" => options.svg = arguments::file("--svg", value(ALLOWED_FILE)?)?,
            "--json" | "--check" | "--help" | "-h" if attached.is_some() => {
                return Err(BadArgument(format!("{flag} takes no value, but was given one")));
            }
            "--json" => options.json = true,
            "--check" => options.check = true,
            "--help" | "-h" => return Ok(Command::Help),
            _ => {
                return Err(BadArgument(format!(
                    "unknown argument `{flag}`: allowed are --seconds N, --store KIND, \
                     --store-url URL, --json, --svg PATH, --check and --help"
                )));
            }
        }
    }
    match &options.store_url {
        Some(url) if options.store == StoreKind::Memory => Err(BadArgument(format!(
            "--store-url `{url}`: allowed is none, since --store memory has no server"
        ))),
        _ => Ok(Command::Run(options)),
    }
}

const ALLOWED_SECONDS: &str = "a number of seconds from 5 to 600";
const ALLOWED_STORE: &str = "memory, redis or postgres";
const ALLOWED_URL: &str = "the URL of a server: redis://.. or postgres://..";

fn seconds(value: &OsString) -> Result<Duration, BadArgument> {
    let number = value.to_str().and_then(|text| text.parse::<f64>().ok());
    match number {
        Some(seconds) if SECONDS.contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(refused("--seconds", value, ALLOWED_SECONDS)),
    }
}

fn store(value: &OsString) -> Result<StoreKind, BadArgument> {
    let kind = value.to_str().and_then(|text| text.parse().ok());
    kind.ok_or_else(|| refused("--store", value, ALLOWED_STORE))
}

fn url(value: &OsString) -> Result<String, BadArgument> {
    let url = value.to_str().filter(|text| text.contains("://"));
    url.map(str::to_owned).ok_or_else(|| refused("--store-url", value, ALLOWED_URL))
}

/// Always writable by whoever built the example, and inside the target directory.
fn beside_this_program() -> PathBuf {
    match env::current_exe() {
        Ok(program) => program.with_file_name("storefront.svg"),
        Err(_) => env::temp_dir().join("storefront.svg"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Command, String> {
        parse(args.iter().map(OsString::from)).map_err(|bad| bad.to_string())
    }

    fn options(args: &[&str]) -> Options {
        match parsed(args) {
            Ok(Command::Run(options)) => options,
            other => panic!("{args:?} gave {other:?}"),
        }
    }

    #[test]
    fn twenty_seconds_and_a_table_unless_told_otherwise() {
        let told_nothing = options(&[]);
        assert_eq!(told_nothing.length, Duration::from_secs(20));
        assert!(!told_nothing.json && !told_nothing.check);
        assert_eq!((told_nothing.store, told_nothing.store_url), (StoreKind::Memory, None));
        let told = options(&["--seconds", "7.5", "--json", "--svg=plot.svg", "--check"]);
        assert_eq!(told.length, Duration::from_millis(7500));
        assert!(told.json && told.check);
        assert_eq!(told.svg, PathBuf::from("plot.svg"));
        let told = options(&["--store", "redis", "--store-url=redis://somewhere/?a=b"]);
        assert_eq!(told.store, StoreKind::Redis);
        assert_eq!(told.store_url.as_deref(), Some("redis://somewhere/?a=b"));
        assert_eq!(parsed(&["--json", "--help"]), Ok(Command::Help));
    }

    #[test]
    fn a_bad_value_is_told_with_its_flag_and_what_is_allowed() {
        for value in ["4.9", "601", "-20", "0", "NaN", "inf", "20s", ""] {
            let told = format!("--seconds `{value}`: allowed is a number of seconds from 5 to 600");
            assert_eq!(parsed(&["--seconds", value]), Err(told));
        }
        for value in ["Memory", "sqlite", ""] {
            let told = format!("--store `{value}`: allowed is memory, redis or postgres");
            assert_eq!(parsed(&["--store", value]), Err(told));
        }
        let told = format!("--store-url `somewhere`: allowed is {ALLOWED_URL}");
        assert_eq!(parsed(&["--store=redis", "--store-url", "somewhere"]), Err(told));
        let useless = parsed(&["--store-url", "redis://somewhere/"]).unwrap_err();
        assert!(useless.ends_with("since --store memory has no server"), "{useless}");
        for value in ["no/such/directory/plot.svg", ".", "", "/"] {
            let told = format!("--svg `{value}`: allowed is {ALLOWED_FILE}");
            assert_eq!(parsed(&["--svg", value]), Err(told));
        }
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        let missing = parsed(&["--seconds"]).unwrap_err();
        assert_eq!(missing, "--seconds has no value: allowed is a number of seconds from 5 to 600");
        assert!(parsed(&["--fast"]).unwrap_err().starts_with("unknown argument `--fast`"));
        assert!(parsed(&["20"]).unwrap_err().starts_with("unknown argument `20`"));
        assert_eq!(
            parsed(&["--json=yes"]).unwrap_err(),
            "--json takes no value, but was given one"
        );
    }
}
