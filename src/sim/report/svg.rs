//! The report as a plot over time.

mod panel;
mod scale;
mod series;

use std::fmt::{self, Write};
use std::time::Duration;

use humantime::format_duration;

use self::panel::{Curve, Panel};
use self::scale::{BOTTOM, GAP, HEIGHT, LEFT, RIGHT, Scale, WIDTH, clip, escape};
use self::series::Bins;
use super::{Incident, Report};

// The palette of Okabe and Ito: distinct without red or green to tell apart.
const BLUE: &str = "#0072b2";
const ORANGE: &str = "#e69f00";
const VERMILION: &str = "#d55e00";
const BLACK: &str = "#212529";
const GREY: &str = "#868e96";
/// Of the labels of faults and spikes.
const LABELS: f64 = 94.0;
const ROW: f64 = 15.0;

const OF_SERVERS: [&str; 5] = [BLUE, VERMILION, "#009e73", "#cc79a7", "#56b4e9"];

impl Report {
    /// The report as an SVG plot over time: what was offered, good and refused, and what an oracle
    /// could have had; the attempts at each server; the line before each. Faults and spikes are
    /// shaded.
    #[must_use]
    #[allow(clippy::missing_panics_doc, reason = "it does not")]
    pub fn svg(&self) -> String {
        self.plot().expect("a String takes any text")
    }

    fn plot(&self) -> Result<String, fmt::Error> {
        let panels = self.panels();
        let frame = Frame::of(self, panels.len());
        let height = frame.bottom + BOTTOM;
        let mut out = String::new();
        writeln!(
            out,
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="DejaVu Sans, Verdana, Arial, sans-serif" font-size="13" fill="{BLACK}">
<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>"##
        )?;
        self.heading(&mut out)?;
        self.shade(&mut out, &frame)?;
        let mut top = frame.top;
        for panel in &panels {
            panel.draw(&mut out, &frame.time, top)?;
            top += HEIGHT + GAP;
        }
        self.marks(&mut out, &frame)?;
        time_axis(&mut out, &frame)?;
        writeln!(out, "</svg>")?;
        Ok(out)
    }

    fn panels(&self) -> Vec<Panel> {
        let bins = Bins::of(self);
        let mut panels = vec![
            Panel::new("Requests, by the time they were sent", "requests/s")
                .curve(Curve::area("offered", GREY, bins.offered()))
                .curve(Curve::line("refused by a layer", ORANGE, bins.refused()))
                .curve(Curve::line("good: in time", BLUE, bins.good()))
                .curve(Curve::dashed("best possible (oracle)", BLACK, bins.oracle())),
        ];
        let mut sent = Panel::new("Attempts that were sent to each server", "attempts/s")
            .curve(Curve::area("requests offered", GREY, bins.offered()));
        let mut waiting = Panel::new("Longest line before the workers", "attempts in line");
        for ((name, server), colour) in self.servers.iter().zip(OF_SERVERS.into_iter().cycle()) {
            sent = sent.curve(Curve::line(name, colour, bins.sent(server)));
            waiting = waiting.curve(Curve::line(name, colour, bins.waiting(server)));
        }
        if let [server] = self.servers.values().collect::<Vec<_>>()[..] {
            sent = sent.curve(Curve::dashed("its capacity", BLACK, bins.capacity(server)));
        }
        if !self.servers.is_empty() {
            panels.extend([sent, waiting]);
        }
        panels
    }

    fn heading(&self, out: &mut String) -> fmt::Result {
        let names = |names: Vec<&String>| {
            let names: Vec<_> = names.into_iter().map(|name| clip(name, 24)).collect();
            escape(&clip(&names.join(", "), 60))
        };
        let clients = names(self.clients.keys().collect());
        let servers = names(self.servers.keys().collect());
        let (offered, length) = (self.offered(), format_duration(self.ran_for));
        let recovery = match self.recovered_after() {
            None => "not well again by the end".to_owned(),
            Some(_) if self.trigger.is_none() => "no trigger".to_owned(),
            Some(after) => format!("well again {} s after the trigger", seconds(after)),
        };
        let (goodput, of_oracle) = (self.goodput() * 100.0, self.goodput_of_oracle() * 100.0);
        let busiest = self
            .servers
            .keys()
            .max_by(|a, b| self.amplification(a).total_cmp(&self.amplification(b)));
        let amplification = busiest.map_or(String::new(), |name| {
            let server = escape(&clip(name, 24));
            format!(" · {:.2} attempts at {server} per request", self.amplification(name))
        });
        writeln!(
            out,
            r#"<text x="{LEFT}" y="36" font-size="20" font-weight="bold">{clients} → {servers}: {offered} requests in {length}</text>
<text x="{LEFT}" y="60">goodput {goodput:.1} %, {of_oracle:.1} % of the best possible · {recovery}{amplification}</text>
<text x="{LEFT}" y="80" font-size="11" fill="{GREY}">seed {:#x} · trace {:#018x}</text>"#,
            self.seed, self.trace_hash
        )
    }

    /// Faults and spikes, behind all panels; what they are, above them.
    fn shade(&self, out: &mut String, frame: &Frame) -> fmt::Result {
        for incident in &self.incidents {
            let [x, end] = [incident.from, incident.until].map(|at| frame.time.at(seconds(at)));
            let (width, height) = ((end - x).max(1.0), frame.bottom - LABELS);
            writeln!(
                out,
                r##"<rect x="{x:.1}" y="{LABELS}" width="{width:.1}" height="{height}" fill="#f03e3e" fill-opacity="0.1"/>"##
            )?;
        }
        for Label { x, row, text } in &frame.labels {
            let y = LABELS + 14.0 + f64::from(*row) * ROW;
            let text = escape(text);
            writeln!(
                out,
                r##"<text x="{x:.1}" y="{y}" font-size="12" font-weight="bold" fill="#c92a2a">{text}</text>"##
            )?;
        }
        Ok(())
    }

    /// When the system was well again, and where an invariant ended the run.
    fn marks(&self, out: &mut String, frame: &Frame) -> fmt::Result {
        if let (Some(trigger), Some(after)) = (self.trigger, self.recovered_after()) {
            let at = trigger.until + after;
            mark(out, frame, at, "#2b8a3e", "well again")?;
        }
        if let Some(violation) = &self.violation {
            let label = format!("broken: {}", clip(&violation.invariant, 40));
            mark(out, frame, violation.at, "#c92a2a", &label)?;
        }
        Ok(())
    }
}

/// Where the panels are.
struct Frame {
    time: Scale,
    labels: Vec<Label>,
    /// Of the first panel.
    top: f64,
    /// Of the last panel.
    bottom: f64,
}

/// What is written above a fault or spike.
struct Label {
    x: f64,
    row: u16,
    text: String,
}

impl Frame {
    #[allow(clippy::cast_precision_loss)]
    fn of(report: &Report, panels: usize) -> Self {
        let time = Scale::linear(seconds(report.ran_for), (LEFT, WIDTH - RIGHT));
        let labels = labels(&report.incidents, &time);
        let rows = labels.iter().map(|label| label.row + 1).max().unwrap_or(0);
        let top = LABELS + f64::from(rows) * ROW + 34.0;
        Self { time, labels, top, bottom: top + panels as f64 * (HEIGHT + GAP) - GAP }
    }
}

/// In rows, where there is room for them.
fn labels(incidents: &[Incident], time: &Scale) -> Vec<Label> {
    // Until where each row is taken.
    let mut rows = [0.0_f64; 4];
    let mut found = Vec::new();
    for incident in incidents {
        let text = clip(&incident.what, 48);
        #[allow(clippy::cast_precision_loss)]
        let room = text.chars().count() as f64 * 7.5 + 14.0;
        let x = (time.at(seconds(incident.from)) + 4.0).min(WIDTH - RIGHT - room).max(LEFT);
        if let Some((taken, row)) = rows.iter_mut().zip(0..).find(|(taken, _)| **taken <= x) {
            *taken = x + room;
            found.push(Label { x, row, text });
        }
    }
    found
}

fn mark(out: &mut String, frame: &Frame, at: Duration, colour: &str, says: &str) -> fmt::Result {
    let Frame { time, top, bottom, .. } = frame;
    let x = time.at(seconds(at));
    let (anchor, beside) = if x > WIDTH * 0.7 { ("end", x - 5.0) } else { ("start", x + 5.0) };
    let says = escape(says);
    writeln!(
        out,
        r#"<line x1="{x:.1}" y1="{top}" x2="{x:.1}" y2="{bottom}" stroke="{colour}" stroke-width="1.5" stroke-dasharray="5 3"/>
<text x="{beside:.1}" y="{:.1}" font-size="12" text-anchor="{anchor}" fill="{colour}">{says}</text>"#,
        top + 15.0,
    )
}

fn time_axis(out: &mut String, Frame { time, bottom, .. }: &Frame) -> fmt::Result {
    for tick in time.ticks(16.0) {
        let x = time.at(tick);
        writeln!(
            out,
            r#"<line x1="{x:.1}" y1="{bottom}" x2="{x:.1}" y2="{:.1}" stroke="{GREY}"/><text x="{x:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
            bottom + 5.0,
            bottom + 20.0,
            scale::short(tick)
        )?;
    }
    writeln!(
        out,
        r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">simulated time, s</text>"#,
        f64::midpoint(LEFT, WIDTH - RIGHT),
        bottom + 42.0
    )
}

fn seconds(at: Duration) -> f64 {
    at.as_secs_f64()
}
