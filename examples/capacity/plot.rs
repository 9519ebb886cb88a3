//! The plot: latency and goodput against load, as an SVG.

use std::fmt::{self, Write};

use crate::chart::{Axis, Frame, GREY};
use crate::report::sentence;
use crate::run::Findings;
use crate::step::{Envelope, Step, Verdict, millis};

const WIDTH: f64 = 1200.0;
const HEIGHT: f64 = 560.0;
const LEFT: f64 = 78.0;

const BLUE: &str = "#1864ab";
const ORANGE: &str = "#e8590c";
const GREEN: &str = "#37b24d";

/// The whole document.
pub(crate) fn render(findings: &Findings, envelope: &Envelope) -> Result<String, fmt::Error> {
    let steps = careful(findings);
    let mut out = String::new();
    writeln!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" font-family="DejaVu Sans, Verdana, Arial, sans-serif" font-size="13" fill="#212529">
<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>
<text x="{LEFT}" y="36" font-size="21" font-weight="bold">What it sustains</text>
<text x="{LEFT}" y="60" fill="{GREY}">{}</text>"##,
        escaped(&sentence(findings, envelope))
    )?;
    let keys = [(GREEN, "p50"), (BLUE, "p95"), (ORANGE, "p99")];
    for (place, (colour, label)) in (0_u32..).zip(keys) {
        let x = LEFT + 100.0 * f64::from(place);
        writeln!(
            out,
            r#"<line x1="{x}" y1="84" x2="{}" y2="84" stroke="{colour}" stroke-width="3"/><text x="{}" y="88.5" font-weight="bold">{label}</text>"#,
            x + 28.0,
            x + 36.0
        )?;
    }
    latency(&mut out, &steps, envelope, findings)?;
    goodput(&mut out, &steps, findings)?;
    writeln!(out, "</svg>")?;
    Ok(out)
}

/// One step for each load, by load: where there are several, the last, which is the longest. Those
/// that say nothing about the target are left out.
fn careful(findings: &Findings) -> Vec<&Step> {
    let mut steps: Vec<&Step> = Vec::new();
    for tried in findings.tried.iter().filter(|tried| tried.step.verdict != Verdict::Invalid) {
        let step = &tried.step;
        match steps.binary_search_by(|other| other.rate.total_cmp(&step.rate)) {
            Ok(place) => steps[place] = step,
            Err(place) => steps.insert(place, step),
        }
    }
    steps
}

fn frame(place: f64, title: &str, steps: &[&Step], y: Axis) -> Frame {
    let highest = steps.iter().map(|step| step.rate).fold(1.0, f64::max);
    Frame {
        title: title.to_owned(),
        left: LEFT + place * 590.0,
        top: 136.0,
        width: 510.0,
        height: 350.0,
        above: 9.0,
        x: Axis::up_to(highest, "load, in requests/s"),
        y,
    }
}

type Figure = fn(&Step) -> f64;

fn latency(
    out: &mut String,
    steps: &[&Step],
    envelope: &Envelope,
    findings: &Findings,
) -> fmt::Result {
    let target = millis(envelope.p95);
    let slowest = steps.iter().map(|step| millis(step.p99)).fold(target, f64::max);
    // What matters is near the target; a target that broke may be slower by any factor.
    let frame =
        frame(0.0, "Latency against load", steps, Axis::up_to(slowest.min(4.0 * target), "ms"));
    frame.draw(out)?;
    let top = frame.y.to;
    let level = [(frame.x.from, target), (frame.x.to, target)];
    frame.dashed(out, &level)?;
    frame.note(out, level[0], &format!("the p95 that is asked for: {target:.0} ms"))?;
    knee(out, &frame, findings)?;
    let of: [(&str, Figure); 3] = [
        (ORANGE, |step| millis(step.p99)),
        (BLUE, |step| millis(step.p95)),
        (GREEN, |step| millis(step.p50)),
    ];
    for (colour, latency) in of {
        let points = steps.iter().map(|step| (step.rate, latency(step).min(top)));
        frame.curve(out, &points.collect::<Vec<_>>(), (colour, 2.5))?;
    }
    Ok(())
}

fn goodput(out: &mut String, steps: &[&Step], findings: &Findings) -> fmt::Result {
    let highest = steps.iter().map(|step| step.rate).fold(1.0, f64::max);
    let title = "Goodput against load";
    let frame = frame(1.0, title, steps, Axis::up_to(highest, "answers/s within the p95"));
    frame.draw(out)?;
    frame.dashed(out, &[(0.0, 0.0), (highest, highest)])?;
    knee(out, &frame, findings)?;
    let points = steps.iter().map(|step| (step.rate, step.goodput.min(frame.y.to)));
    frame.curve(out, &points.collect::<Vec<_>>(), (BLUE, 2.5))
}

fn knee(out: &mut String, frame: &Frame, findings: &Findings) -> fmt::Result {
    match findings.bounds.holds {
        Some(rate) => frame.dashed(out, &[(rate, frame.y.from), (rate, frame.y.to)]),
        None => Ok(()),
    }
}

/// Names are the target's: they may hold anything.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::run::Tried;
    use crate::search::Bounds;
    use crate::step::{Call, Ending};

    const ENVELOPE: Envelope = Envelope { p95: Duration::from_millis(200), errors: 0.001 };

    fn tried(rate: f64, latency: u64, lag: u64) -> Tried {
        let call = |due| Call {
            due: Duration::from_millis(due),
            lag: Duration::from_millis(lag),
            latency: Duration::from_millis(latency),
            ending: Ending::Good,
        };
        let calls: Vec<_> = (0..100).map(call).collect();
        let step = Step::of(rate, Duration::from_millis(100), &calls, &ENVELOPE);
        Tried { step, signals: Vec::new() }
    }

    fn findings(tried: Vec<Tried>) -> Findings {
        let bounds = Bounds { holds: Some(60.0), breaks: Some(90.0) };
        Findings { tried, bounds, diagnosis: None, overrun: None, no_metrics: None }
    }

    #[test]
    fn a_plot_takes_the_last_valid_step_of_each_load() {
        let findings = findings(vec![
            tried(40.0, 50, 0),
            tried(90.0, 300, 0),
            tried(60.0, 70, 0),
            tried(90.0, 400, 0),
            tried(90.0, 900, 900),
        ]);
        let of = careful(&findings).into_iter().map(|step| (step.rate, millis(step.p95)));
        assert_eq!(of.collect::<Vec<_>>(), [(40.0, 50.0), (60.0, 70.0), (90.0, 400.0)]);
        let plot = render(&findings, &ENVELOPE).unwrap();
        assert!(plot.contains("p95 &lt; 200 ms"), "{plot}");
        assert!(!plot.contains("NaN") && !plot.contains("inf"), "{plot}");
    }

    #[test]
    fn a_run_without_a_valid_step_has_a_plot_too() {
        let plot = render(&findings(Vec::new()), &ENVELOPE).unwrap();
        assert!(!plot.contains("NaN") && !plot.contains("inf"), "{plot}");
    }
}
