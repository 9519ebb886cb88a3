//! The map as a picture: a heat map for each stack and trigger.

use std::fmt::{self, Write};

use crate::map::{ATTEMPTS, DOWN, LOADS, PATIENCE, Panel, TRIGGERS};
use crate::stack::Stack;

/// Of one cell.
const WIDE: f64 = 21.0;
const HIGH: f64 = 26.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 182.0;
const GAP: f64 = 34.0;
/// Between two rows of panels.
const LANE: f64 = 118.0;
const INK: &str = "#212529";
const LINE: &str = "#d9480f";

/// A panel's width and height.
#[allow(clippy::cast_precision_loss, reason = "a handful")]
const PANEL: (f64, f64) = (LOADS.len() as f64 * WIDE, ATTEMPTS.len() as f64 * HIGH);

pub(crate) fn render(panels: &[Panel], seeds: usize) -> Result<String, fmt::Error> {
    let rows = panels.chunks(TRIGGERS.len());
    #[allow(clippy::cast_precision_loss, reason = "a handful")]
    let (across, down) = (TRIGGERS.len() as f64, rows.len() as f64);
    let width = LEFT + across * (PANEL.0 + GAP);
    let height = TOP + down * (PANEL.1 + LANE) - LANE + 56.0;
    let mut out = String::new();
    writeln!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="DejaVu Sans, Verdana, Arial, sans-serif" font-size="12" fill="{INK}">
<rect width="{width}" height="{height}" fill="#ffffff"/>
<text x="{LEFT}" y="36" font-size="20" font-weight="bold">Where the system stays down when the trouble is over</text>
<text x="{LEFT}" y="60" font-size="13">Colour: in how many of {seeds} seeds fewer than {:.0} % of the requests were good, {} s after the trigger ended.</text>"##,
        DOWN * 100.0,
        PATIENCE.as_secs(),
    )?;
    legend(&mut out)?;
    let mut top = TOP;
    for row in rows {
        let mut left = LEFT;
        let (stack, middle) = (row[0].stack, top + PANEL.1 / 2.0);
        writeln!(
            out,
            r#"<text x="34" y="{middle}" transform="rotate(-90 34 {middle})" text-anchor="middle">attempts for each request</text>
<text x="{LEFT}" y="{}"><tspan font-size="15" font-weight="bold">{}</tspan>: {}</text>"#,
            top - 34.0,
            stack.name(),
            stack.what(),
        )?;
        for panel in row {
            draw(&mut out, panel, left, top)?;
            left += PANEL.0 + GAP;
        }
        top += PANEL.1 + LANE;
    }
    writeln!(out, "</svg>")?;
    Ok(out)
}

fn legend(out: &mut String) -> fmt::Result {
    const STEPS: u32 = 10;
    let (y, size) = (78.0, 18.0);
    for step in 0..=STEPS {
        let x = LEFT + f64::from(step) * size;
        let fill = colour(f64::from(step) / f64::from(STEPS));
        writeln!(out, r#"<rect x="{x}" y="{y}" width="{size}" height="14" fill="{fill}"/>"#)?;
    }
    let end = LEFT + f64::from(STEPS + 1) * size;
    let (text, line, wide) = (y + 28.0, end + 50.0, end - LEFT);
    writeln!(
        out,
        r##"<rect x="{LEFT}" y="{y}" width="{wide}" height="14" fill="none" stroke="#868e96"/>
<text x="{LEFT}" y="{text}">0 % of seeds: well</text><text x="{end}" y="{text}" text-anchor="end">100 %: down</text>
<line x1="{line}" y1="{0}" x2="{1}" y2="{0}" stroke="{LINE}" stroke-width="2.5"/>
<text x="{2}" y="{3}">utilisation × attempts = 1: above it, says theory, the retries alone keep the system down. Dark below it: a line that is still being worked off</text>"##,
        y + 8.0,
        line + 30.0,
        line + 38.0,
        y + 12.0,
    )
}

fn draw(out: &mut String, panel: &Panel, left: f64, top: f64) -> fmt::Result {
    let bottom = top + PANEL.1;
    writeln!(
        out,
        r#"<text x="{left}" y="{}" font-weight="bold">db {}</text>"#,
        top - 8.0,
        match panel.trigger.what {
            "nothing" => "well throughout",
            what => what,
        }
    )?;
    let mut y = bottom;
    for (attempts, row) in ATTEMPTS.iter().zip(&panel.down) {
        y -= HIGH;
        let mut x = left;
        for share in row {
            let fill = colour(*share);
            writeln!(
                out,
                r##"<rect x="{x:.1}" y="{y:.1}" width="{WIDE}" height="{HIGH}" fill="{fill}" stroke="#ffffff" stroke-width="0.6"/>"##
            )?;
            x += WIDE;
        }
        writeln!(
            out,
            r#"<text x="{}" y="{:.1}" text-anchor="end">{attempts}</text>"#,
            left - 6.0,
            y + HIGH / 2.0 + 4.5
        )?;
    }
    for (index, load) in (0_u32..).zip(LOADS).filter(|(_, load)| load % 10 == 0) {
        let x = left + (f64::from(index) + 0.5) * WIDE;
        writeln!(
            out,
            r#"<text x="{x:.1}" y="{:.1}" text-anchor="middle">{load}</text>"#,
            bottom + 17.0
        )?;
    }
    writeln!(
        out,
        r##"<rect x="{left}" y="{top}" width="{}" height="{}" fill="none" stroke="#868e96"/>
<text x="{:.1}" y="{:.1}" text-anchor="middle">utilisation, %</text>"##,
        PANEL.0,
        PANEL.1,
        left + PANEL.0 / 2.0,
        bottom + 36.0,
    )?;
    if panel.stack == Stack::Naive { theory(out, left, bottom) } else { Ok(()) }
}

/// Where the load times the attempts of each request is all that the servers can do.
fn theory(out: &mut String, left: f64, bottom: f64) -> fmt::Result {
    let first = f64::from(LOADS[0]);
    let step = f64::from(LOADS[1] - LOADS[0]);
    let mut points = String::new();
    for tenth in 10..=65 {
        let attempts = f64::from(tenth) / 10.0;
        let load = 100.0 / attempts;
        // A cell is as wide as a step, and its load is in its middle; so with the attempts.
        let (column, row) = ((load - first) / step + 0.5, attempts - 0.5);
        let x = column * WIDE;
        if (0.0..=PANEL.0).contains(&x) {
            write!(points, "{:.1},{:.1} ", left + x, bottom - row * HIGH)?;
        }
    }
    writeln!(out, r#"<polyline points="{points}" fill="none" stroke="{LINE}" stroke-width="2.5"/>"#)
}

/// From light to dark: also for those who see no colours, and in print.
fn colour(share: f64) -> String {
    let (well, down) = ([235.0, 241.0, 245.0], [11.0, 60.0, 110.0]);
    let mixed: Vec<f64> =
        well.iter().zip(down).map(|(well, down)| well + (down - well) * share).collect();
    format!("rgb({:.0},{:.0},{:.0})", mixed[0], mixed[1], mixed[2])
}
