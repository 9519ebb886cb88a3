//! One row and one seed as a picture: the limit and the goodput over time, beside the oracle's.

use std::fmt::{self, Write};
use std::time::Duration;

use buttress::sim::limits::{Oracle, Trial, Workload};

use crate::adaptive::Row;
use crate::adaptive::algorithms::Candidate;
use crate::adaptive::describe::describe;

const WIDTH: f64 = 1100.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 28.0;
const TOP: f64 = 134.0;
/// Of a panel, and between two.
const HEIGHT: f64 = 200.0;
const GAP: f64 = 52.0;
const INK: &str = "#212529";
const GREY: &str = "#868e96";
// The palette of Okabe and Ito: distinct without red or green to tell apart.
const CALLERS: [&str; 5] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9"];
/// Over which the goodput is the mean.
const BIN: Duration = Duration::from_millis(500);

/// Places of points: seconds, and a value.
type Points = Vec<(f64, f64)>;

struct Curve {
    colour: &'static str,
    dashed: bool,
    points: Points,
}

pub(crate) fn render(row: &Row, seed: u64, candidate: &Candidate) -> Result<String, fmt::Error> {
    let Row { name, workload, .. } = row;
    let oracle = workload.best_static(seed);
    let trial = workload.run(seed, |_| (candidate.new)());
    let end = workload.run_for.as_secs_f64();
    let height = TOP + 2.0 * HEIGHT + GAP + 58.0;
    let mut out = String::new();
    writeln!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="DejaVu Sans, Verdana, Arial, sans-serif" font-size="13" fill="{INK}">
<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>
<text x="{LEFT}" y="36" font-size="20" font-weight="bold">{}: {}</text>
<text x="{LEFT}" y="60">{:.1} % of the goodput of the best static limit, {} · p99 {:.1} ms, that limit's {:.1} ms · seed {seed}</text>
<text x="{LEFT}" y="80" font-size="11" fill="{GREY}">{}</text>"##,
        escape(candidate.name),
        escape(name),
        trial.goodput() / oracle.goodput() * 100.0,
        oracle.limit(),
        trial.p99().as_secs_f64() * 1e3,
        oracle.p99().as_secs_f64() * 1e3,
        escape(&describe(workload)),
    )?;
    shade(&mut out, workload, end)?;
    panel(&mut out, "Limit", "calls", TOP, &limits(&trial, &oracle), end)?;
    let lower = TOP + HEIGHT + GAP;
    panel(&mut out, "Goodput", "answers in time/s", lower, &goodputs(&trial, &oracle, end), end)?;
    time_axis(&mut out, end, lower + HEIGHT)?;
    writeln!(out, "</svg>")?;
    Ok(out)
}

/// That of each caller, and the oracle's.
fn limits(trial: &Trial, oracle: &Oracle) -> Vec<Curve> {
    let slice = Trial::SLICE.as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "thousands")]
    let points = |limits: &[usize]| {
        (0_u32..).zip(limits).map(|(n, limit)| (f64::from(n) * slice, *limit as f64)).collect()
    };
    let best = vec![oracle.limit(); trial.limits().first().map_or(0, Vec::len)];
    let callers = trial.limits().iter().zip(CALLERS.into_iter().cycle());
    callers
        .map(|(limits, colour)| Curve { colour, dashed: false, points: points(limits) })
        .chain([Curve { colour: INK, dashed: true, points: points(&best) }])
        .collect()
}

/// Of all callers together.
fn goodputs(trial: &Trial, oracle: &Oracle, end: f64) -> Vec<Curve> {
    let bin = BIN.as_secs_f64();
    let points = |trial: &Trial| {
        let begins = (0_u32..).map(|n| n * BIN).take_while(|at| at.as_secs_f64() + bin <= end);
        let mut points = Points::new();
        for from in begins {
            let goodput = trial.goodput_between(from, from + BIN);
            points.push((from.as_secs_f64() + bin / 2.0, goodput));
        }
        points
    };
    vec![
        Curve { colour: CALLERS[0], dashed: false, points: points(trial) },
        Curve { colour: INK, dashed: true, points: points(oracle.trial()) },
    ]
}

/// What goes wrong with the server.
fn shade(out: &mut String, workload: &Workload, end: f64) -> fmt::Result {
    for fault in &workload.faults.0 {
        let (x, until) = (across(fault.from.as_secs_f64(), end), fault.until().as_secs_f64());
        let (width, height) = (across(until, end) - x, 2.0 * HEIGHT + GAP);
        writeln!(
            out,
            r##"<rect x="{x:.1}" y="{TOP}" width="{width:.1}" height="{height}" fill="#f03e3e" fill-opacity="0.1"/>
<text x="{:.1}" y="{}" font-size="12" font-weight="bold" fill="#c92a2a">{}</text>"##,
            x + 4.0,
            TOP + 15.0,
            escape(&fault.kind.to_string()),
        )?;
    }
    Ok(())
}

fn panel(
    out: &mut String,
    title: &str,
    unit: &str,
    top: f64,
    curves: &[Curve],
    end: f64,
) -> fmt::Result {
    let peak = curves.iter().flat_map(|curve| &curve.points).map(|point| point.1);
    let peak = peak.fold(5.0, f64::max) * 1.04;
    let up = |value: f64| top + HEIGHT - value / peak * HEIGHT;
    let step = step(peak, 5.0);
    for tick in ticks(step, peak) {
        let y = up(tick);
        writeln!(
            out,
            r##"<line x1="{LEFT}" y1="{y:.1}" x2="{}" y2="{y:.1}" stroke="#dee2e6" stroke-width="0.8"/><text x="{}" y="{:.1}" text-anchor="end">{tick}</text>"##,
            WIDTH - RIGHT,
            LEFT - 8.0,
            y + 4.5
        )?;
    }
    for Curve { colour, dashed, points } in curves {
        let mut places = String::new();
        for (at, value) in points {
            write!(places, "{:.1},{:.1} ", across(*at, end), up(*value))?;
        }
        writeln!(
            out,
            r#"<polyline points="{places}" fill="none" stroke="{colour}" {} stroke-linejoin="round"/>"#,
            stroke(*dashed)
        )?;
    }
    let (width, middle, label) = (WIDTH - RIGHT - LEFT, top + HEIGHT / 2.0, top - 8.0);
    let key = |x: f64, colour: &str, dashed, says: &str| {
        format!(
            r#"<line x1="{x}" y1="{0}" x2="{1}" y2="{0}" stroke="{colour}" {2}/><text x="{3}" y="{label}" font-size="12">{says}</text>"#,
            label - 4.5,
            x + 28.0,
            stroke(dashed),
            x + 34.0,
        )
    };
    writeln!(
        out,
        r#"<rect x="{LEFT}" y="{top}" width="{width}" height="{HEIGHT}" fill="none" stroke="{GREY}"/>
<text x="{LEFT}" y="{label}" font-weight="bold">{title}</text>
<text x="20" y="{middle}" transform="rotate(-90 20 {middle})" text-anchor="middle">{unit}</text>
{}
{}"#,
        key(
            WIDTH - 330.0,
            CALLERS[0],
            false,
            if curves.len() > 2 { "each caller" } else { "found" }
        ),
        key(WIDTH - 190.0, INK, true, "best static limit"),
    )
}

fn time_axis(out: &mut String, end: f64, bottom: f64) -> fmt::Result {
    for tick in ticks(step(end, 16.0), end) {
        let x = across(tick, end);
        writeln!(
            out,
            r#"<line x1="{x:.1}" y1="{bottom}" x2="{x:.1}" y2="{}" stroke="{GREY}"/><text x="{x:.1}" y="{}" text-anchor="middle">{tick}</text>"#,
            bottom + 5.0,
            bottom + 20.0
        )?;
    }
    writeln!(
        out,
        r#"<text x="{}" y="{}" text-anchor="middle">simulated time, s</text>"#,
        f64::midpoint(LEFT, WIDTH - RIGHT),
        bottom + 42.0
    )
}

fn across(at: f64, end: f64) -> f64 {
    LEFT + (at / end).clamp(0.0, 1.0) * (WIDTH - RIGHT - LEFT)
}

fn stroke(dashed: bool) -> &'static str {
    if dashed { r#"stroke-width="1.4" stroke-dasharray="6 4""# } else { r#"stroke-width="1.8""# }
}

/// The smallest of 1, 2, 5, 10, 20, .. of which at most so many are below `top`.
fn step(top: f64, at_most: f64) -> f64 {
    let decade = 10_f64.powf((top / at_most).log10().floor()).max(1.0);
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * decade);
    steps.into_iter().find(|step| top / step <= at_most).unwrap_or(decade * 10.0)
}

fn ticks(step: f64, top: f64) -> impl Iterator<Item = f64> {
    (0_u32..).map(move |n| f64::from(n) * step).take_while(move |tick| *tick <= top)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adaptive::{algorithms, rows};

    #[test]
    fn every_caller_and_the_best_static_limit_are_drawn() {
        let mut row = rows::chosen(Some("capacity 64 -> 16 -> 64")).remove(0);
        row.workload = row.workload.run_for(Duration::from_secs(2));
        let svg = render(&row, 1, &algorithms::all()[0]).unwrap();
        assert_eq!(svg.matches("<polyline").count(), 4, "{svg}");
        assert!(svg.contains("cohort: capacity 64 -&gt; 16 -&gt; 64"), "{svg}");
        assert!(svg.contains("without 75 % of its workers"), "{svg}");
    }

    #[test]
    fn steps_are_round_and_few() {
        for (top, at_most, expected) in [(60.0, 12.0, 5.0), (601.0, 6.0, 200.0), (3.0, 5.0, 1.0)] {
            assert!((step(top, at_most) - expected).abs() < 1e-9);
        }
        assert_eq!(ticks(20.0, 59.0).collect::<Vec<_>>(), [0.0, 20.0, 40.0]);
    }
}
