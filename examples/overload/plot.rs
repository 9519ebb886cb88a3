//! The plot: an SVG of what came of the load, and of what happened over time.

use std::fmt::{self, Write};
use std::time::Duration;

use crate::chart::{Axis, Frame, GREY};
use crate::pool::{CAPACITY, WORKERS};
use crate::record::{Notes, Outcome};
use crate::report::{Figures, Report};
use crate::run::Run;
use crate::script::{AFTERWARDS, DEADLINE, Script};
use crate::server::Kind;

const WIDTH: f64 = 1200.0;
const HEIGHT: f64 = 1000.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 24.0;

/// How a server's curves look: thin ones are drawn over thick ones, so that all can be seen where
/// they agree.
pub(crate) fn style(kind: Kind) -> (&'static str, f64) {
    match kind {
        Kind::Naked => ("#e8590c", 7.0),
        Kind::Guessed => ("#fcc419", 3.5),
        Kind::Sensible => ("#adb5bd", 6.5),
        Kind::Adaptive => ("#1864ab", 3.5),
        Kind::Priorities => ("#37b24d", 1.8),
    }
}

/// The whole document. Runs and reports are in the order of [`Kind::ALL`].
pub(crate) fn render(
    script: &Script,
    runs: &[Run],
    reports: &[Report],
) -> Result<String, fmt::Error> {
    let mut out = String::new();
    writeln!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" font-family="DejaVu Sans, Verdana, Arial, sans-serif" font-size="13" fill="#212529">
<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>"##
    )?;
    head(&mut out)?;
    against_load(&mut out, script, reports)?;
    over_time(&mut out, script, runs)?;
    writeln!(out, "</svg>")?;
    Ok(out)
}

fn head(out: &mut String) -> fmt::Result {
    writeln!(
        out,
        r#"<text x="{LEFT}" y="36" font-size="21" font-weight="bold">Five servers at up to four times the load that they can carry</text>
<text x="{LEFT}" y="60" fill="{GREY}">Each has {WORKERS} workers, who can do {CAPACITY} calls a second. An answer is good within {} ms; a tenth of the calls are critical.</text>"#,
        DEADLINE.as_millis()
    )?;
    let mut x = LEFT;
    for kind in Kind::ALL {
        let (colour, width) = style(kind);
        let label = match kind {
            Kind::Naked => "naked",
            Kind::Guessed => "static limit 256, guessed",
            Kind::Sensible => "static limit 20, sensible",
            Kind::Adaptive => "adaptive limit",
            Kind::Priorities => "adaptive limit with priorities",
        };
        writeln!(
            out,
            r#"<line x1="{x}" y1="84" x2="{}" y2="84" stroke="{colour}" stroke-width="{width}"/><text x="{}" y="88.5" font-weight="bold">{label}</text>"#,
            x + 28.0,
            x + 36.0
        )?;
        x += match kind {
            Kind::Naked => 110.0,
            Kind::Adaptive => 170.0,
            _ => 250.0,
        };
    }
    Ok(())
}

/// What came of each load, side by side.
fn against_load(out: &mut String, script: &Script, reports: &[Report]) -> fmt::Result {
    let frame = |place: f64, title: &str, peak, unit| Frame {
        title: title.to_owned(),
        left: LEFT + place * 392.0,
        top: 146.0,
        width: 314.0,
        height: 250.0,
        above: 9.0,
        x: loads(script),
        y: Axis::up_to(peak, unit),
    };
    let goodput = frame(0.0, "Goodput against load", 100.0, "% of capacity");
    goodput.draw(out)?;
    let ends = [script.phases[0].load, script.phases[AFTERWARDS - 1].load];
    let best = [ends[0], 1.0, ends[1]].map(|load| (load.log2(), load.min(1.0) * 100.0));
    goodput.dashed(out, &best)?;
    figures(out, &goodput, reports, |figures| Some(figures.goodput() * 100.0))?;

    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let all = reports.iter().flat_map(|report| &report.phases);
    let slowest = all.filter_map(|figures| figures.p99).fold(DEADLINE, Duration::max);
    let p99 = frame(1.0, "p99 of the calls that were not refused", millis(slowest), "ms");
    p99.draw(out)?;
    figures(out, &p99, reports, |figures| figures.p99.map(millis))?;

    let critical = frame(2.0, "Critical calls that were good", 100.0, "% of critical calls");
    critical.draw(out)?;
    figures(out, &critical, reports, |figures| Some(figures.critical_share() * 100.0))
}

/// Every load once: a doubling is a step.
fn loads(script: &Script) -> Axis {
    let tick = |load: f64| (load.log2(), format!("{load}x"));
    let ticks: Vec<_> = script.phases[..AFTERWARDS].iter().map(|phase| tick(phase.load)).collect();
    let (first, last) = (ticks[0].0, ticks[AFTERWARDS - 1].0);
    // Some room for the dots at both ends.
    Axis { from: first - 0.15, to: last + 0.15, ticks, unit: "load, in capacities".to_owned() }
}

fn figures(
    out: &mut String,
    frame: &Frame,
    reports: &[Report],
    of: impl Fn(&Figures) -> Option<f64>,
) -> fmt::Result {
    for report in reports {
        let point = |figures: &Figures| Some((figures.phase.load.log2(), of(figures)?));
        let points: Vec<_> = report.phases[..AFTERWARDS].iter().filter_map(point).collect();
        frame.curve(out, &points, style(report.kind))?;
    }
    Ok(())
}

/// What happened when.
fn over_time(out: &mut String, script: &Script, runs: &[Run]) -> fmt::Result {
    let peak = |notes: &Notes| notes.limits.iter().map(|(_, limit)| *limit).max().unwrap_or(0);
    let peak = runs.iter().map(|run| peak(&run.notes)).max().unwrap_or(0).max(20);
    let frame = |place: f64, title: &str, y| Frame {
        title: title.to_owned(),
        left: LEFT,
        top: 506.0 + place * 264.0,
        width: WIDTH - LEFT - RIGHT,
        height: 170.0,
        // The names of the phases stand between.
        above: 28.0,
        x: seconds(script),
        y,
    };
    let unit = "% of capacity";
    let goodput = frame(0.0, "Goodput over time", Axis::up_to(120.0, unit));
    #[allow(clippy::cast_precision_loss, reason = "a limit of 10,000 at most")]
    let top = peak as f64;
    let limit = frame(1.0, "The adaptive limit over time", Axis::up_to(top, "calls in flight"));
    for panel in [&goodput, &limit] {
        bands(out, panel, script)?;
        panel.draw(out)?;
    }
    for (kind, run) in Kind::ALL.into_iter().zip(runs) {
        goodput.curve(out, &goodput_over_time(script, &run.notes), style(kind))?;
        if !run.notes.limits.is_empty() {
            limit.curve(out, &limits(script, &run.notes), style(kind))?;
        }
    }
    let level = f64::from(WORKERS);
    limit.dashed(out, &[(limit.x.from, level), (limit.x.to, level)])?;
    limit.note(out, (limit.x.from, level), &format!("{WORKERS} workers"))
}

fn seconds(script: &Script) -> Axis {
    let to = script.length.as_secs_f64();
    let step = [1_u32, 2, 5, 10, 20, 50].into_iter().find(|step| to / f64::from(*step) <= 24.0);
    let ticks = (0..).map(|tick| tick * step.unwrap_or(100));
    let ticks = ticks.take_while(|tick| f64::from(*tick) <= to);
    let ticks = ticks.map(|tick| (f64::from(tick), tick.to_string())).collect();
    Axis { from: 0.0, to, ticks, unit: "seconds since the start of the run".to_owned() }
}

/// The phases, behind a panel.
fn bands(out: &mut String, frame: &Frame, script: &Script) -> fmt::Result {
    for phase in &script.phases {
        let [x, end] = [phase.start, phase.end].map(|at| frame.x_of(at.as_secs_f64()));
        let fill = match phase.load {
            ..=0.5 => "#ebfbee",
            ..=1.0 => "#fff9db",
            ..=2.0 => "#fff4e6",
            _ => "#ffe3e3",
        };
        writeln!(
            out,
            r#"<rect x="{x:.1}" y="{}" width="{:.1}" height="{}" fill="{fill}"/>
<text x="{:.1}" y="{:.1}" text-anchor="middle" font-weight="bold" fill="{GREY}">load {}</text>"#,
            frame.top,
            end - x,
            frame.height,
            f64::midpoint(x, end),
            frame.top - 8.0,
            phase.name,
        )?;
    }
    Ok(())
}

/// Good answers a second, over half a window each, to calls that were due in it.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts and indices of a few thousand"
)]
fn goodput_over_time(script: &Script, notes: &Notes) -> Vec<(f64, f64)> {
    let width = script.window().as_secs_f64() / 2.0;
    let mut bins = vec![0_usize; (script.length.as_secs_f64() / width).round() as usize];
    for call in notes.calls.iter().filter(|call| call.outcome == Outcome::Good) {
        let index = (call.arrival.at.as_secs_f64() / width) as usize;
        if let Some(bin) = bins.get_mut(index) {
            *bin += 1;
        }
    }
    let share = |good: usize| good as f64 / width / CAPACITY * 100.0;
    let points = bins.into_iter().enumerate();
    points.map(|(index, good)| ((index as f64 + 0.5) * width, share(good))).collect()
}

#[allow(clippy::cast_precision_loss, reason = "a limit of 10,000 at most")]
fn limits(script: &Script, notes: &Notes) -> Vec<(f64, f64)> {
    let within = notes.limits.iter().filter(|(at, _)| *at <= script.length);
    within.map(|(at, limit)| (at.as_secs_f64(), *limit as f64)).collect()
}
