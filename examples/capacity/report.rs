//! What is printed: the envelope in one sentence, a table, or JSON.

use std::fmt::{self, Write};

use serde_json::{Value, json};

use crate::demo::Mode;
use crate::run::{Findings, Tried};
use crate::step::{Envelope, Step, Verdict, millis};

/// The capacity envelope.
pub(crate) fn sentence(findings: &Findings, envelope: &Envelope) -> String {
    let bounds = findings.bounds;
    let terms = format!(
        "at p95 < {} ms and errors < {} % this",
        round(millis(envelope.p95)),
        round(envelope.errors * 100.0)
    );
    match (bounds.holds, bounds.breaks, findings.overrun) {
        (holds, _, Some(overrun)) => {
            let so_far = holds.map_or("nothing".to_owned(), per_second);
            format!(
                "{terms} sustains at least {so_far}; what it does at {} is not known, since the \
                 load generator fell behind its schedule",
                per_second(overrun)
            )
        }
        (Some(holds), Some(_), None) => {
            let reason = match &findings.diagnosis {
                Some(diagnosis) => diagnosis.clause(),
                None => "its latency or its errors break that: no layer of it shows why".to_owned(),
            };
            format!("{terms} sustains {} until {reason}", per_second(holds))
        }
        (Some(holds), None, None) => {
            format!("{terms} sustains at least {}: --to ended the search", per_second(holds))
        }
        (None, _, None) => {
            let reason = findings.diagnosis.as_ref();
            let reason = reason.map_or(String::new(), |found| format!(": {}", found.clause()));
            format!("{terms} does not sustain even the load of --from{reason}")
        }
    }
}

fn per_second(rate: f64) -> String {
    format!("{} requests/s", round(rate))
}

/// Three figures: no measurement here has more.
fn round(value: f64) -> String {
    if value >= 100.0 {
        return format!("{value:.0}");
    }
    let text = if value >= 1.0 { format!("{value:.1}") } else { format!("{value:.3}") };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// All that is printed where no JSON is asked for.
pub(crate) fn table(
    findings: &Findings,
    envelope: &Envelope,
    demo: Option<Mode>,
) -> Result<String, fmt::Error> {
    let mut out = String::new();
    writeln!(
        out,
        "goodput      answers a second within the p95 that is asked for\n\
         p50 p95 p99  of the requests that were not refused, from when each was due, in ms\n\
         late         requests that were sent more than {} ms after they were due\n",
        round(millis(envelope.slack()))
    )?;
    writeln!(out, "{HEAD}")?;
    let mut steps: Vec<_> = findings.tried.iter().map(|tried| &tried.step).collect();
    steps.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    for step in steps {
        writeln!(out, "{}", row(step))?;
    }
    if let Some(diagnosis) = &findings.diagnosis {
        writeln!(out, "\nwhat saturates first: {}", diagnosis.resource())?;
        for line in &diagnosis.evidence {
            writeln!(out, "  {line}")?;
        }
    }
    if let Some(why) = &findings.no_metrics {
        writeln!(out, "\nsome steps have no metrics: {why}")?;
    }
    if let (Some(mode), Some(off)) = (demo, demo.and_then(|mode| error(findings, mode))) {
        let capacity = mode.capacity();
        writeln!(
            out,
            "\nthe demo is configured for {capacity:.0} requests/s: off by {:+.1} %",
            off * 100.0
        )?;
    }
    writeln!(out, "\n{}", sentence(findings, envelope))?;
    Ok(out)
}

pub(crate) const HEAD: &str =
    "   load  requests  goodput     p50     p95     p99   errors    late  verdict";

pub(crate) fn row(step: &Step) -> String {
    let mut row = format!(
        "{:>7.1} {:>9} {:>8.1} {:>7.1} {:>7.1} {:>7.1} {:>7.2}% {:>6.1}%  ",
        step.rate,
        step.calls,
        step.goodput,
        millis(step.p50),
        millis(step.p95),
        millis(step.p99),
        step.errors * 100.0,
        step.late * 100.0,
    );
    match step.verdict {
        Verdict::Holds => row.push_str("holds"),
        Verdict::Breaks(breach) => {
            row.push_str("breaks: ");
            row.push_str(breach.name());
        }
        Verdict::Invalid => row.push_str("invalid: the load generator fell behind its schedule"),
    }
    for (place, (what, count)) in step.wrong.iter().enumerate() {
        row.push_str(if place == 0 { "  (" } else { ", " });
        let _ = write!(row, "{what}: {count}");
    }
    if !step.wrong.is_empty() {
        row.push(')');
    }
    row
}

/// By how much the knee is off what the demo is configured for, as a share of that.
fn error(findings: &Findings, mode: Mode) -> Option<f64> {
    let holds = findings.bounds.holds.filter(|_| findings.bounds.breaks.is_some())?;
    Some(holds / mode.capacity() - 1.0)
}

/// What the demo is for: the knee is where it should be, and the right part is named.
pub(crate) fn check(findings: &Findings, mode: Mode) -> Result<(), String> {
    match error(findings, mode) {
        Some(off) if off.abs() <= 0.1 => {}
        Some(off) => return Err(format!("the knee is off by {:+.1} %", off * 100.0)),
        None => return Err("no knee was found".to_owned()),
    }
    let named = findings.diagnosis.as_ref().map(|found| (found.kind, found.name.as_str()));
    if named == Some(mode.saturates()) {
        return Ok(());
    }
    Err(format!("what saturates is {:?}, and {named:?} was named", mode.saturates()))
}

pub(crate) fn to_json(findings: &Findings, envelope: &Envelope, demo: Option<Mode>) -> Value {
    let steps = findings.tried.iter().map(|Tried { step, signals }| {
        let mut json = step.to_json();
        json["layers"] = signals.iter().map(crate::signals::Signals::to_json).collect();
        json
    });
    json!({
        "envelope": { "p95_ms": millis(envelope.p95), "errors": envelope.errors },
        "sustains": findings.bounds.holds,
        "breaks": findings.bounds.breaks,
        "overrun": findings.overrun,
        "saturates": findings.diagnosis.as_ref().map(crate::diagnosis::Diagnosis::to_json),
        "no_metrics": findings.no_metrics,
        "configured": demo.map(Mode::capacity),
        "sentence": sentence(findings, envelope),
        "steps": steps.collect::<Value>(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::diagnosis::{Diagnosis, Kind};
    use crate::search::Bounds;

    const ENVELOPE: Envelope = Envelope { p95: Duration::from_millis(200), errors: 0.001 };

    fn findings(holds: Option<f64>, breaks: Option<f64>) -> Findings {
        Findings {
            tried: Vec::new(),
            bounds: Bounds { holds, breaks },
            diagnosis: Some(Diagnosis {
                kind: Kind::Limit,
                layer: "bulkhead".to_owned(),
                name: "http".to_owned(),
                evidence: Vec::new(),
            }),
            overrun: None,
            no_metrics: None,
        }
    }

    #[test]
    fn the_envelope_is_one_sentence_whatever_was_found() {
        let said = |findings: &Findings| {
            let said = sentence(findings, &ENVELOPE);
            let terms = "at p95 < 200 ms and errors < 0.1 % this ";
            said.strip_prefix(terms).expect(terms).to_owned()
        };
        let mut found = findings(Some(198.7), Some(203.0));
        assert_eq!(said(&found), "sustains 199 requests/s until bulkhead `http` saturates");
        found.diagnosis = None;
        assert!(said(&found).starts_with("sustains 199 requests/s until its latency"));
        found.overrun = Some(203.0);
        assert!(said(&found).contains("at least 199 requests/s; what it does at 203 requests/s"));
        let end = said(&findings(Some(2000.0), None));
        assert_eq!(end, "sustains at least 2000 requests/s: --to ended the search");
        let none = said(&findings(None, Some(40.0)));
        assert!(none.ends_with("even the load of --from: bulkhead `http` saturates"), "{none}");
    }

    #[test]
    fn figures_are_as_long_as_they_are_good_for() {
        let of = [0.1, 0.001, 1.0, 12.34, 99.99, 250.4, 2000.0, 0.0].map(round);
        assert_eq!(of, ["0.1", "0.001", "1", "12.3", "100", "250", "2000", "0"]);
    }

    #[test]
    fn the_check_wants_the_knee_and_the_name() {
        let checked = |holds, breaks, mode| check(&findings(holds, breaks), mode);
        assert_eq!(checked(Some(181.0), Some(186.0), Mode::Bulkhead), Ok(()));
        assert_eq!(checked(Some(219.0), Some(225.0), Mode::Bulkhead), Ok(()));
        let off = checked(Some(179.0), Some(184.0), Mode::Bulkhead).unwrap_err();
        assert_eq!(off, "the knee is off by -10.5 %");
        assert!(checked(Some(221.0), Some(226.0), Mode::Bulkhead).is_err());
        assert!(checked(Some(200.0), None, Mode::Bulkhead).is_err());
        assert!(checked(None, Some(200.0), Mode::Bulkhead).is_err());
        let named = checked(Some(200.0), Some(205.0), Mode::Workers).unwrap_err();
        assert!(named.contains("http"), "{named}");
    }
}
