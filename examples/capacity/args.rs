//! The command line.

use std::ffi::{OsStr, OsString};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;

use crate::arguments::{self, ALLOWED_FILE, BadArgument, refused, split};
use crate::demo::Mode;
use crate::schedule::Arrivals;
use crate::step::Envelope;

pub(crate) const HELP: &str = "\
Drives a service with rising load, finds out how much it sustains, and names what saturates first.

Usage: capacity [--demo MODE] [OPTIONS]
       capacity --target URL [--metrics URL] [OPTIONS]

  --demo MODE          measure a service that comes with this program, and has room for 200
                       requests a second: workers, bulkhead or dependency, by what it is that has
                       no more room (default: workers)
  --target URL         send GET requests to this URL, http only
  --metrics URL        where the target shows its metrics in Prometheus' text format; without them
                       nothing is said about what saturates
  --p95 DURATION       sustained is a load at which the 95th percentile of latency is at most this:
                       250ms or 1.5s, from 1ms to 60s (default: 200ms)
  --errors PERCENT     ... and at most this share of the requests fails or is refused, from 0 to
                       100 (default: 0.1)
  --from RATE          the first load, in requests a second, from 1 to 100000 (default: 40)
  --to RATE            the highest load, in requests a second, from 1 to 100000 (default: 2000)
  --step-seconds N     how long a load lasts, from 0.5 to 600; as many seconds longer as 100
                       requests take, and twice as long when it is tried again (default: 2.5)
  --arrivals KIND      sliced, at random within each quarter of a second, of which all have the
                       same number; poisson, at random; or even, one gap between all
                       (default: sliced)
  --seed N             of the arrivals, a whole number (default: 1)
  --plot FILE          write a plot of latency and goodput against load to this file, an SVG
  --json               print the findings as JSON, alone on the standard output
  --check              of the demo: fail with exit code 1 unless what was found is within 10 % of
                       what it is configured for, and what saturates is what the mode says
  --help               print this
";

/// What the command line asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    Run(Box<Options>),
    Help,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) subject: Subject,
    pub(crate) envelope: Envelope,
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) step: Duration,
    pub(crate) arrivals: Arrivals,
    pub(crate) seed: u64,
    pub(crate) plot: Option<PathBuf>,
    pub(crate) json: bool,
    pub(crate) check: bool,
}

/// What is measured.
#[derive(Debug, PartialEq)]
pub(crate) enum Subject {
    Demo(Mode),
    Service { target: Uri, metrics: Option<Uri> },
}

/// What was given, before it is known to fit together.
#[derive(Default)]
struct Given {
    demo: Option<Mode>,
    target: Option<Uri>,
    metrics: Option<Uri>,
}

pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, BadArgument> {
    let mut given = Given::default();
    let mut options = Options {
        subject: Subject::Demo(Mode::Workers),
        envelope: Envelope { p95: Duration::from_millis(200), errors: 0.001 },
        from: 40.0,
        to: 2000.0,
        step: Duration::from_millis(2500),
        arrivals: Arrivals::Sliced,
        seed: 1,
        plot: None,
        json: false,
        check: false,
    };
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let (flag, attached) = split(&arg);
        let mut value = |wanted: &str| {
            let value = attached.clone().or_else(|| args.next());
            value.ok_or_else(|| BadArgument(format!("{flag} has no value: allowed is {wanted}")))
        };
        match flag.as_str() {
            "--demo" => given.demo = Some(mode(&value(MODES)?)?),
            "--target" => given.target = Some(url("--target", &value(A_URL)?)?),
            "--metrics" => given.metrics = Some(url("--metrics", &value(A_URL)?)?),
            "--p95" => options.envelope.p95 = duration("--p95", &value(A_DURATION)?)?,
            "--errors" => options.envelope.errors = percent(&value(A_PERCENTAGE)?)?,
            "--from" => options.from = number("--from", &value(A_RATE)?, RATES, A_RATE)?,
            "--to" => options.to = number("--to", &value(A_RATE)?, RATES, A_RATE)?,
            "--step-seconds" => {
                let seconds = number("--step-seconds", &value(SECONDS)?, 0.5..=600.0, SECONDS)?;
                options.step = Duration::from_secs_f64(seconds);
            }
            "--arrivals" => options.arrivals = arrivals(&value(ARRIVALS)?)?,
            "--seed" => options.seed = seed(&value(A_SEED)?)?,
            "--plot" => options.plot = Some(arguments::file("--plot", value(ALLOWED_FILE)?)?),
            "--json" | "--check" | "--help" | "-h" if attached.is_some() => {
                return Err(BadArgument(format!("{flag} takes no value, but was given one")));
            }
            "--json" => options.json = true,
            "--check" => options.check = true,
            "--help" | "-h" => return Ok(Command::Help),
            _ => return Err(BadArgument(format!("unknown argument `{flag}`: see --help"))),
        }
    }
    options.subject = subject(given)?;
    fit(&options)?;
    Ok(Command::Run(Box::new(options)))
}

fn subject(given: Given) -> Result<Subject, BadArgument> {
    match given {
        Given { demo: Some(mode), target: Some(target), .. } => Err(BadArgument(format!(
            "--demo {} and --target `{target}`: allowed is one of the two",
            mode.name()
        ))),
        Given { target: None, metrics: Some(metrics), .. } => Err(BadArgument(format!(
            "--metrics `{metrics}`: allowed is none without --target, since the demo has its own"
        ))),
        Given { target: Some(target), metrics, .. } => Ok(Subject::Service { target, metrics }),
        Given { demo, .. } => Ok(Subject::Demo(demo.unwrap_or(Mode::Workers))),
    }
}

/// What no option can be blamed for alone.
fn fit(options: &Options) -> Result<(), BadArgument> {
    let Options { from, to, .. } = options;
    if from >= to {
        let told = format!("--to `{to}`: allowed is a rate above --from, which is {from}");
        return Err(BadArgument(told));
    }
    match &options.subject {
        Subject::Service { target, .. } if options.check => Err(BadArgument(format!(
            "--check: allowed is none with --target `{target}`, of which nobody knows what to find"
        ))),
        _ => Ok(()),
    }
}

const MODES: &str = "workers, bulkhead or dependency";
const ARRIVALS: &str = "sliced, poisson or even";
const A_URL: &str = "an http URL: http://127.0.0.1:8080/path";
const A_DURATION: &str = "a time from 1ms to 60s: 250ms or 1.5s";
const A_PERCENTAGE: &str = "a percentage from 0 to 100: 0.1 or 0.1%";
const A_RATE: &str = "a number of requests a second from 1 to 100000";
const A_SEED: &str = "a whole number";
const SECONDS: &str = "a number of seconds from 0.5 to 600";
const RATES: RangeInclusive<f64> = 1.0..=100_000.0;

fn text(value: &OsStr) -> &str {
    value.to_str().unwrap_or_default()
}

fn mode(value: &OsStr) -> Result<Mode, BadArgument> {
    let named = Mode::ALL.into_iter().find(|mode| mode.name() == text(value));
    named.ok_or_else(|| refused("--demo", value, MODES))
}

fn arrivals(value: &OsStr) -> Result<Arrivals, BadArgument> {
    let named = Arrivals::ALL.into_iter().find(|kind| kind.name() == text(value));
    named.ok_or_else(|| refused("--arrivals", value, ARRIVALS))
}

fn seed(value: &OsStr) -> Result<u64, BadArgument> {
    text(value).parse().map_err(|_| refused("--seed", value, A_SEED))
}

fn url(flag: &str, value: &OsStr) -> Result<Uri, BadArgument> {
    let url = text(value).parse::<Uri>().ok();
    let url = url.filter(|url| url.scheme_str() == Some("http") && url.host().is_some());
    url.ok_or_else(|| refused(flag, value, A_URL))
}

fn duration(flag: &str, value: &OsStr) -> Result<Duration, BadArgument> {
    let text = text(value);
    let (number, unit) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, 1e-3),
        (None, Some(number)) => (number, 1.0),
        (None, None) => ("", 0.0),
    };
    let seconds = number.parse::<f64>().ok().map(|number| number * unit);
    let seconds = seconds.filter(|seconds| (1e-3..=60.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| refused(flag, value, A_DURATION))
}

/// As a share.
fn percent(value: &OsStr) -> Result<f64, BadArgument> {
    let bare = text(value).trim_end_matches('%').trim_end();
    let number = bare.parse::<f64>().ok().filter(|number| (0.0..=100.0).contains(number));
    let number = number.ok_or_else(|| refused("--errors", value, A_PERCENTAGE))?;
    Ok(number / 100.0)
}

fn number(
    flag: &str,
    value: &OsStr,
    range: RangeInclusive<f64>,
    allowed: &str,
) -> Result<f64, BadArgument> {
    let number = text(value).parse::<f64>().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| refused(flag, value, allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Command, String> {
        parse(args.iter().map(OsString::from)).map_err(|bad| bad.to_string())
    }

    fn options(args: &[&str]) -> Options {
        match parsed(args) {
            Ok(Command::Run(options)) => *options,
            other => panic!("{args:?} gave {other:?}"),
        }
    }

    #[test]
    fn the_demo_and_its_workers_unless_told_otherwise() {
        let bare = options(&[]);
        assert_eq!(bare.subject, Subject::Demo(Mode::Workers));
        assert_eq!(bare.envelope.p95, Duration::from_millis(200));
        assert_eq!((bare.from, bare.to, bare.envelope.errors), (40.0, 2000.0, 0.001));
        assert!(bare.plot.is_none() && !bare.json && !bare.check);
        for mode in Mode::ALL {
            assert_eq!(options(&["--demo", mode.name()]).subject, Subject::Demo(mode));
        }
        assert_eq!(parsed(&["--json", "--help"]), Ok(Command::Help));
    }

    #[test]
    fn every_option_is_taken_in_both_forms() {
        let told = options(&[
            "--target=http://localhost:1/a?b=c",
            "--metrics",
            "http://localhost:2/metrics",
            "--p95=1.5s",
            "--errors",
            "1%",
            "--from=10",
            "--to",
            "20.5",
            "--step-seconds=4",
            "--arrivals",
            "even",
            "--seed=7",
            "--plot",
            "plot.svg",
            "--json",
        ]);
        let uri = |text: &'static str| Uri::from_static(text);
        let subject = Subject::Service {
            target: uri("http://localhost:1/a?b=c"),
            metrics: Some(uri("http://localhost:2/metrics")),
        };
        assert_eq!(told.subject, subject);
        let envelope = Envelope { p95: Duration::from_millis(1500), errors: 0.01 };
        assert_eq!((told.envelope, told.from, told.to), (envelope, 10.0, 20.5));
        assert_eq!((told.step, told.arrivals), (Duration::from_secs(4), Arrivals::Even));
        assert_eq!((told.seed, told.plot), (7, Some(PathBuf::from("plot.svg"))));
        assert!(told.json);
    }

    #[test]
    fn a_bad_value_is_told_with_its_option_and_what_is_allowed() {
        let bad: [(&str, &str, &[&str]); 9] = [
            ("--demo", MODES, &["Workers", "", "cpu"]),
            ("--target", A_URL, &["https://a/", "a:1", "/path", "", "http://"]),
            ("--metrics", A_URL, &["ftp://a/"]),
            ("--p95", A_DURATION, &["200", "0ms", "0.5ms", "61s", "NaNs", "infs", "-1s", "ms", ""]),
            ("--errors", A_PERCENTAGE, &["-0.1", "101", "NaN", "%", ""]),
            ("--from", A_RATE, &["0", "1e6", "NaN", "inf", "-5", "ten"]),
            ("--to", A_RATE, &["0.9", "100001"]),
            ("--step-seconds", SECONDS, &["0.4", "601", "2s"]),
            ("--seed", A_SEED, &["-1", "1.5", ""]),
        ];
        for (flag, allowed, values) in bad {
            for value in values {
                let told = format!("{flag} `{value}`: allowed is {allowed}");
                assert_eq!(parsed(&[flag, value]), Err(told));
            }
            let told = format!("{flag} has no value: allowed is {allowed}");
            assert_eq!(parsed(&[flag]), Err(told));
        }
        assert!(parsed(&["--arrivals", "random"]).unwrap_err().ends_with(ARRIVALS));
        assert!(parsed(&["--plot", "no/such/plot.svg"]).unwrap_err().ends_with(ALLOWED_FILE));
        assert_eq!(parsed(&["--fast"]).unwrap_err(), "unknown argument `--fast`: see --help");
        assert_eq!(parsed(&["--json=1"]).unwrap_err(), "--json takes no value, but was given one");
    }

    #[test]
    fn options_that_contradict_each_other_are_told_together() {
        let target = "http://localhost:1/";
        let told = parsed(&["--demo", "workers", "--target", target]).unwrap_err();
        assert!(told.contains("--demo workers") && told.contains("--target `http"), "{told}");
        let told = parsed(&["--metrics", target]).unwrap_err();
        assert!(told.contains("none without --target"), "{told}");
        let told = parsed(&["--from", "50", "--to", "50"]).unwrap_err();
        assert_eq!(told, "--to `50`: allowed is a rate above --from, which is 50");
        assert!(parsed(&["--target", target, "--check"]).unwrap_err().starts_with("--check"));
    }
}
