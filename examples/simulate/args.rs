//! The command line.

use std::ffi::OsString;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use crate::adaptive::{self, algorithms, matching};
use crate::scenario::{SCENARIOS, Settings};
use crate::stack::Stack;

pub(crate) const HELP: &str = "\
Runs a simulated system through trouble, and reports how its stack of layers fared.

Usage: simulate [SCENARIO] [OPTIONS]   runs a scenario (default: slow)
       simulate list                   what scenarios and stacks there are
       simulate map [OPTIONS]          where the system stays down when the trouble is over
       simulate throughput             how many requests are simulated in a second
       simulate adaptive [OPTIONS]     the adaptive limits, beside the best static one

  --stack NAME       the layers between clients and servers (default: full)
  --seed N           run this seed, 42 or 0x2a, and print its report (default: 0)
  --seeds A..B       run these seeds, and print a table of them all
  --utilisation U    the load, as a share of what the servers can do: 0.01 to 10 (default: 0.75)
  --attempts N       attempts for each request, the first included: 1 to 10 (default: 4)
  --plan FILE        run the plan in this JSON file in place of a scenario
  --show-plan        print the plan as JSON, and run nothing
  --json             print the reports as JSON, each on a line of its own
  --plot FILE        write a plot to this SVG file: of the one seed, or of the map
  --help             print this

Of `adaptive`, which fails if its default misses anything that is asked:

  --seeds A..B       run each row with these seeds (default: 1..4)
  --seed N           run this seed alone; of the workloads that are drawn, the first
  --row TEXT         only the rows whose name contains this, or is this
  --algorithm NAME   only this one, in place of the default and all others
  --random N         N workloads that are drawn, in place of the rows
  --json             print a line of JSON for each row, seed and algorithm
  --plot FILE        write a plot to this SVG file: of one row and one seed, and of the default
                     or the one that is named
";

/// What the command line asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    Run(Options),
    Map(Options),
    Adaptive(adaptive::Options),
    Throughput,
    List,
    Help,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) scenario: String,
    pub(crate) settings: Settings,
    pub(crate) stack: Stack,
    pub(crate) seed: u64,
    pub(crate) seeds: Option<Range<u64>>,
    pub(crate) plan: Option<PathBuf>,
    pub(crate) show_plan: bool,
    pub(crate) json: bool,
    pub(crate) plot: Option<PathBuf>,
}

/// What is wrong with the command line: which argument, its value, and what is allowed.
#[derive(Debug, PartialEq)]
pub(crate) struct BadArgument(String);

impl fmt::Display for BadArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, BadArgument> {
    let mut options = Options {
        scenario: "slow".to_owned(),
        settings: Settings::default(),
        stack: Stack::Full,
        seed: 0,
        seeds: None,
        plan: None,
        show_plan: false,
        json: false,
        plot: None,
    };
    let mut command: Option<String> = None;
    let mut args = args.into_iter().map(|arg| arg.to_string_lossy().into_owned()).peekable();
    if args.next_if(|first| first == "adaptive").is_some() {
        return of_adaptive(args);
    }
    while let Some(arg) = args.next() {
        let mut value = Value::of(&arg, &mut args);
        match value.flag {
            "--stack" => options.stack = value.parse(&Stack::names(), Stack::of)?,
            "--seed" => options.seed = value.parse("a number: 42 or 0x2a", number)?,
            "--seeds" => options.seeds = Some(value.parse("a range: 0..64", range)?),
            "--utilisation" => {
                options.settings.utilisation = value.parse("a number from 0.01 to 10", |text| {
                    text.parse().ok().filter(|load| (0.01..=10.0).contains(load))
                })?;
            }
            "--attempts" => {
                options.settings.attempts = value.parse("a number from 1 to 10", |text| {
                    text.parse().ok().filter(|attempts| (1..=10).contains(attempts))
                })?;
            }
            "--plan" => options.plan = Some(value.parse("a file", |text| Some(text.into()))?),
            "--plot" => options.plot = Some(value.parse("a file", |text| Some(text.into()))?),
            "--show-plan" => options.show_plan = value.none()?,
            "--json" => options.json = value.none()?,
            "--help" | "-h" => return Ok(Command::Help),
            flag if flag.starts_with('-') => {
                return Err(BadArgument(format!("unknown option `{flag}`: see --help")));
            }
            name if command.is_none() => command = Some(name.to_owned()),
            more => return Err(BadArgument(format!("`{more}`: one scenario is enough"))),
        }
    }
    one_of(command.as_deref(), options)
}

fn one_of(command: Option<&str>, mut options: Options) -> Result<Command, BadArgument> {
    match command {
        Some("adaptive") => {
            return Err(BadArgument("`adaptive` goes before its options".to_owned()));
        }
        Some("list") => return Ok(Command::List),
        Some("throughput") => return Ok(Command::Throughput),
        Some("map") => return Ok(Command::Map(options)),
        Some(name) if options.plan.is_some() => {
            return Err(BadArgument(format!("`{name}` and --plan: one of the two is enough")));
        }
        Some(name) if !SCENARIOS.iter().any(|scenario| scenario.name == name) => {
            let names: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
            let allowed = names.join(", ");
            return Err(BadArgument(format!(
                "scenario `{name}`: allowed is one of {allowed}; or list, map, throughput, adaptive"
            )));
        }
        Some(name) => name.clone_into(&mut options.scenario),
        None => {}
    }
    if options.plot.is_some() && options.seeds.is_some() {
        return Err(BadArgument("--plot and --seeds: a plot is of one seed, --seed".to_owned()));
    }
    Ok(Command::Run(options))
}

fn of_adaptive(mut args: impl Iterator<Item = String>) -> Result<Command, BadArgument> {
    let mut seeds = None;
    let mut options = adaptive::Options {
        seeds: 1..4,
        row: None,
        algorithm: None,
        random: None,
        json: false,
        plot: None,
    };
    while let Some(arg) = args.next() {
        let mut value = Value::of(&arg, &mut args);
        match value.flag {
            "--seeds" => seeds = Some(value.parse("a range: 0..64", range)?),
            "--seed" => {
                let one = |text: &str| number(text).and_then(|n| Some(n..n.checked_add(1)?));
                seeds = Some(value.parse("a number: 42 or 0x2a", one)?);
            }
            "--row" => options.row = Some(value.parse("a part of the name of a row", row)?),
            "--algorithm" => {
                let names = algorithms::all().iter().map(|one| one.name).collect::<Vec<_>>();
                let known = |name: &str| names.contains(&name).then(|| name.to_owned());
                options.algorithm = Some(value.parse(&names.join(", "), known)?);
            }
            "--random" => {
                options.random = Some(value.parse("a number from 1 to 100000", |text| {
                    number(text).filter(|workloads| (1..=100_000).contains(workloads))
                })?);
            }
            "--plot" => options.plot = Some(value.parse("a file", |text| Some(text.into()))?),
            "--json" => options.json = value.none()?,
            "--help" | "-h" => return Ok(Command::Help),
            flag => {
                return Err(BadArgument(format!(
                    "unknown option `{flag}` of `adaptive`: see --help"
                )));
            }
        }
    }
    go_together(&options, seeds.as_ref())?;
    options.seeds = seeds.unwrap_or(options.seeds);
    Ok(Command::Adaptive(options))
}

/// Whether they do: the first that do not are told.
fn go_together(options: &adaptive::Options, seeds: Option<&Range<u64>>) -> Result<(), BadArgument> {
    let several = seeds.is_some_and(|seeds| seeds.end - seeds.start > 1);
    let bad = if options.random.is_some() && options.row.is_some() {
        "--random and --row: workloads that are drawn are no rows"
    } else if options.random.is_some() && several {
        "--random and --seeds: the seed of a workload is its number, --seed is the first"
    } else if options.plot.is_some() && (options.random.is_some() || options.json) {
        "--plot: allowed is a row, without --random and --json"
    } else if options.plot.is_some() && matching(options.row.as_deref()) != 1 {
        "--plot: a plot is of one row, --row"
    } else if options.plot.is_some() && several {
        "--plot and --seeds: a plot is of one seed, --seed"
    } else {
        return Ok(());
    };
    Err(BadArgument(bad.to_owned()))
}

fn row(part: &str) -> Option<String> {
    (matching(Some(part)) > 0).then(|| part.to_owned())
}

/// The value of an option: after `=`, or the next argument.
struct Value<'a, I> {
    flag: &'a str,
    attached: Option<String>,
    rest: &'a mut I,
}

impl<'a, I: Iterator<Item = String>> Value<'a, I> {
    fn of(arg: &'a str, rest: &'a mut I) -> Self {
        match arg.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => {
                Self { flag, attached: Some(value.to_owned()), rest }
            }
            _ => Self { flag: arg, attached: None, rest },
        }
    }

    fn parse<T>(
        &mut self,
        allowed: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, BadArgument> {
        let flag = self.flag;
        let Some(text) = self.attached.take().or_else(|| self.rest.next()) else {
            return Err(BadArgument(format!("{flag} has no value: allowed is {allowed}")));
        };
        let bad = || BadArgument(format!("{flag} `{text}`: allowed is {allowed}"));
        parse(&text).ok_or_else(bad)
    }

    fn none(&self) -> Result<bool, BadArgument> {
        match &self.attached {
            None => Ok(true),
            Some(value) => {
                Err(BadArgument(format!("{} `{value}`: allowed is no value", self.flag)))
            }
        }
    }
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn range(text: &str) -> Option<Range<u64>> {
    let (from, to) = text.split_once("..")?;
    let range = number(from)?..number(to)?;
    (!range.is_empty()).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &str) -> Result<Command, String> {
        parse(args.split_whitespace().map(OsString::from)).map_err(|bad| bad.to_string())
    }

    fn options(args: &str) -> Options {
        match parsed(args) {
            Ok(Command::Run(options) | Command::Map(options)) => options,
            other => panic!("{args:?} gave {other:?}"),
        }
    }

    #[test]
    fn a_slow_server_and_the_full_stack_unless_told_otherwise() {
        let untold = options("");
        assert_eq!((untold.scenario.as_str(), untold.stack), ("slow", Stack::Full));
        assert_eq!(untold.settings, Settings { utilisation: 0.75, attempts: 4 });
        let told = options("chain --stack=naive --seed 0x2a --attempts 2 --json --plot a=b.svg");
        assert_eq!((told.scenario.as_str(), told.stack, told.seed), ("chain", Stack::Naive, 42));
        assert_eq!((told.settings.attempts, told.json), (2, true));
        assert_eq!(told.plot, Some("a=b.svg".into()));
        assert_eq!(options("map --seeds 0x10..32").seeds, Some(16..32));
        assert_eq!(parsed("list"), Ok(Command::List));
        assert_eq!(parsed("--json -h"), Ok(Command::Help));
    }

    fn adaptive(args: &str) -> adaptive::Options {
        match parsed(&format!("adaptive {args}")) {
            Ok(Command::Adaptive(options)) => options,
            other => panic!("{args:?} gave {other:?}"),
        }
    }

    #[test]
    fn adaptive_takes_options_of_its_own() {
        let untold = adaptive("");
        assert_eq!((untold.seeds, untold.random, untold.row), (1..4, None, None));
        let told = adaptive("--row=M/M/32 --algorithm vegas --seeds 5..9 --json");
        assert_eq!(
            (told.row.as_deref(), told.algorithm.as_deref()),
            (Some("M/M/32"), Some("vegas"))
        );
        assert_eq!((told.seeds, told.json), (5..9, true));
        let drawn = adaptive("--random 200 --seed 1000");
        assert_eq!((drawn.random, drawn.seeds), (Some(200), 1000..1001));
        assert_eq!(adaptive("--row pipe --plot x.svg").plot, Some("x.svg".into()));
        assert_eq!(parsed("adaptive --json --help"), Ok(Command::Help));
    }

    #[test]
    fn what_adaptive_cannot_do_is_told() {
        for (args, says) in [
            ("--fast", "unknown option `--fast` of `adaptive`: see --help"),
            ("slow", "unknown option `slow` of `adaptive`: see --help"),
            ("--stack full", "unknown option `--stack` of `adaptive`: see --help"),
            ("--row nothing", "--row `nothing`: allowed is a part of the name of a row"),
            ("--random 0", "--random `0`: allowed is a number from 1 to 100000"),
            ("--random 2 --row USL", "--random and --row: workloads that are drawn are no rows"),
            ("--plot x.svg", "--plot: a plot is of one row, --row"),
            ("--plot x.svg --row M/M/32", "--plot: a plot is of one row, --row"),
            ("--plot x.svg --random 2", "--plot: allowed is a row, without --random and --json"),
            (
                "--plot x.svg --row USL --row pipe --seeds 1..3",
                "--plot and --seeds: a plot is of one seed, --seed",
            ),
            (
                "--random 2 --seeds 1..3",
                "--random and --seeds: the seed of a workload is its number, --seed is the first",
            ),
        ] {
            assert_eq!(parsed(&format!("adaptive {args}")), Err(says.to_owned()), "{args}");
        }
        let says = parsed("adaptive --algorithm best").unwrap_err();
        assert!(says.starts_with("--algorithm `best`: allowed is cohort, aimd, "), "{says}");
        assert_eq!(parsed("--json adaptive"), Err("`adaptive` goes before its options".to_owned()));
    }

    #[test]
    fn a_bad_value_is_told_with_its_option_and_what_is_allowed() {
        for (args, says) in [
            ("--seed x", "--seed `x`: allowed is a number: 42 or 0x2a"),
            ("--seeds 4..4", "--seeds `4..4`: allowed is a range: 0..64"),
            ("--utilisation NaN", "--utilisation `NaN`: allowed is a number from 0.01 to 10"),
            ("--attempts 0", "--attempts `0`: allowed is a number from 1 to 10"),
            ("--attempts", "--attempts has no value: allowed is a number from 1 to 10"),
            ("--json=yes", "--json `yes`: allowed is no value"),
            ("--fast", "unknown option `--fast`: see --help"),
            ("slow crash", "`crash`: one scenario is enough"),
            ("slow --plan x.json", "`slow` and --plan: one of the two is enough"),
            ("--plot x.svg --seeds 0..2", "--plot and --seeds: a plot is of one seed, --seed"),
        ] {
            assert_eq!(parsed(args), Err(says.to_owned()));
        }
        let says = parsed("quick").unwrap_err();
        assert!(says.starts_with("scenario `quick`: allowed is one of calm, slow,"), "{says}");
        let says = parsed("--stack none").unwrap_err();
        assert!(says.starts_with("--stack `none`: allowed is naive, "), "{says}");
    }
}
