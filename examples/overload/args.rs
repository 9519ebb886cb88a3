//! The command line.

use std::env;
use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::arguments::{self, ALLOWED_FILE, BadArgument, refused, split};

pub(crate) const HELP: &str = "\
Drives five servers with up to four times the load that they can carry, and compares what they do
with it: naked, with limits that somebody guessed, and with limits that find themselves.

Usage: overload [--seconds N] [--json] [--plot FILE] [--check] [--help]

  --seconds N   how long the run lasts, 5 to 600 (default: 60)
  --json        print the figures as JSON, alone on the standard output, instead of the table
  --plot FILE   where the plot goes, an SVG (default: overload.svg beside this program)
  --check       fail with exit code 1 where the adaptive limit breaks one of its promises
  --help        print this
";

/// Shorter phases than those of a 5 s run have too few calls for a share in percent.
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
    pub(crate) json: bool,
    pub(crate) check: bool,
    pub(crate) plot: PathBuf,
}

pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, BadArgument> {
    let mut options = Options {
        length: Duration::from_secs(60),
        json: false,
        check: false,
        plot: beside_this_program(),
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
            "--plot" => options.plot = arguments::file("--plot", value(ALLOWED_FILE)?)?,
            "--json" | "--check" | "--help" | "-h" if attached.is_some() => {
                return Err(BadArgument(format!("{flag} takes no value, but was given one")));
            }
            "--json" => options.json = true,
            "--check" => options.check = true,
            "--help" | "-h" => return Ok(Command::Help),
            _ => {
                return Err(BadArgument(format!(
                    "unknown argument `{flag}`: allowed are --seconds N, --json, --plot FILE, \
                     --check and --help"
                )));
            }
        }
    }
    Ok(Command::Run(options))
}

const ALLOWED_SECONDS: &str = "a number of seconds from 5 to 600";

fn seconds(value: &OsString) -> Result<Duration, BadArgument> {
    let number = value.to_str().and_then(|text| text.parse::<f64>().ok());
    match number {
        Some(seconds) if SECONDS.contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(refused("--seconds", value, ALLOWED_SECONDS)),
    }
}

/// Always writable by whoever built the example, and inside the target directory.
fn beside_this_program() -> PathBuf {
    match env::current_exe() {
        Ok(program) => program.with_file_name("overload.svg"),
        Err(_) => env::temp_dir().join("overload.svg"),
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
    fn a_minute_and_a_table_unless_told_otherwise() {
        let told_nothing = options(&[]);
        assert_eq!(told_nothing.length, Duration::from_secs(60));
        assert!(!told_nothing.json && !told_nothing.check);
        let told = options(&["--seconds", "7.5", "--json", "--plot=plot.svg", "--check"]);
        assert_eq!(told.length, Duration::from_millis(7500));
        assert!(told.json && told.check);
        assert_eq!(told.plot, PathBuf::from("plot.svg"));
        assert_eq!(parsed(&["--json", "--help"]), Ok(Command::Help));
    }

    #[test]
    fn a_bad_value_is_told_with_its_flag_and_what_is_allowed() {
        for value in ["4.9", "601", "-20", "0", "NaN", "inf", "20s", ""] {
            let told = format!("--seconds `{value}`: allowed is a number of seconds from 5 to 600");
            assert_eq!(parsed(&["--seconds", value]), Err(told));
        }
        for value in ["no/such/directory/plot.svg", ".", "", "/"] {
            let told = format!("--plot `{value}`: allowed is {ALLOWED_FILE}");
            assert_eq!(parsed(&["--plot", value]), Err(told));
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
