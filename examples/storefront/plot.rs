//! The plot: an SVG of what happened over time.

use std::collections::HashSet;
use std::fmt::{self, Write};
use std::time::Duration;

use crate::orders::table::Row;
use crate::record::{Notes, Outcome, Sample};
use crate::report::share;
use crate::script::{DEADLINE, Mood, Route, Script};
use crate::shop::WORKERS;

const WIDTH: f64 = 1200.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 28.0;
const TOP: f64 = 150.0;
const PANEL: f64 = 150.0;
const GAP: f64 = 58.0;
const BOTTOM: f64 = 58.0;

const NAKED: &str = "#e8590c";
const PROTECTED: &str = "#1864ab";

/// A curve: one value for each bin, none where nothing happened in it.
type Series = Vec<Option<f64>>;

struct Panel {
    title: String,
    unit: &'static str,
    top: f64,
    step: f64,
    naked: Series,
    protected: Series,
}

/// The whole document.
pub(crate) fn render(
    script: &Script,
    naked: &Notes,
    protected: &Notes,
) -> Result<String, fmt::Error> {
    let bins = Bins { width: script.window() / 4, length: script.length };
    let panels = panels(&bins, naked, protected);
    #[allow(clippy::cast_precision_loss, reason = "a handful of panels")]
    let bottom = TOP + panels.len() as f64 * (PANEL + GAP) - GAP;
    let height = bottom + BOTTOM;
    let mut out = String::new();
    writeln!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="DejaVu Sans, Verdana, Arial, sans-serif" font-size="13" fill="#212529">
<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>"##
    )?;
    head(&mut out)?;
    bands(&mut out, script, bottom)?;
    let mut y = TOP;
    for panel in &panels {
        draw(&mut out, panel, y, script)?;
        y += PANEL + GAP;
    }
    time_axis(&mut out, script, bottom)?;
    writeln!(out, "</svg>")?;
    Ok(out)
}

fn panels(bins: &Bins, naked: &Notes, protected: &Notes) -> Vec<Panel> {
    let goodput = |route: Route, serves: &str| Panel {
        title: format!(
            "{} ({serves}): calls answered 2xx within {} ms",
            route.path(),
            DEADLINE.as_millis()
        ),
        unit: "% of calls",
        top: 100.0,
        step: 25.0,
        naked: bins.goodput(naked, route),
        protected: bins.goodput(protected, route),
    };
    vec![
        goodput(Route::Catalog, "needs only the healthy catalog service"),
        goodput(Route::Checkout, "needs payments"),
        Panel {
            title: format!("Workers of the storefront that are busy, of {WORKERS}"),
            unit: "workers",
            top: 40.0,
            step: 10.0,
            naked: bins.samples(naked, |sample| sample.workers),
            protected: bins.samples(protected, |sample| sample.workers),
        },
        as_high_as_needed(
            "Calls that reach payments, refused attempts to connect among them",
            "calls/s",
            [bins.reached(naked), bins.reached(protected)],
        ),
        as_high_as_needed(
            "Calls that stand in line at payments, most of them given up by their callers",
            "calls",
            [naked, protected].map(|notes| bins.samples(notes, |sample| sample.in_line)),
        ),
        as_high_as_needed(
            "Orders that were placed again when they were sent again, up to then",
            "orders",
            [naked, protected].map(|notes| bins.repeated(&notes.rows)),
        ),
    ]
}

/// A panel of counts, with four to eight ticks up to the highest of them.
fn as_high_as_needed(title: &str, unit: &'static str, [naked, protected]: [Series; 2]) -> Panel {
    let peak = naked.iter().chain(&protected).flatten().copied().fold(40.0, f64::max);
    let steps = [10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0];
    let step = steps.into_iter().find(|step| peak / step <= 6.0).unwrap_or(peak);
    let top = (peak / step).ceil() * step;
    Panel { title: title.to_owned(), unit, top, step, naked, protected }
}

/// The run cut into equal stretches.
struct Bins {
    width: Duration,
    length: Duration,
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts and indices of a few thousand"
)]
impl Bins {
    fn count(&self) -> usize {
        (self.length.as_secs_f64() / self.width.as_secs_f64()).round() as usize
    }

    fn index(&self, at: Duration) -> Option<usize> {
        let index = (at.as_secs_f64() / self.width.as_secs_f64()) as usize;
        (index < self.count()).then_some(index)
    }

    /// Sum and number of what falls into each.
    fn gather(&self, items: impl Iterator<Item = (Duration, usize)>) -> Vec<(usize, usize)> {
        let mut bins = vec![(0, 0); self.count()];
        for (at, value) in items {
            if let Some(index) = self.index(at) {
                bins[index].0 += value;
                bins[index].1 += 1;
            }
        }
        bins
    }

    fn goodput(&self, notes: &Notes, route: Route) -> Series {
        let calls = notes.calls.iter().filter(|call| call.route == route);
        let good = calls.map(|call| (call.at, usize::from(call.outcome == Outcome::Good)));
        let bins = self.gather(good);
        bins.into_iter().map(|(good, all)| Some(share(good, all)? * 100.0)).collect()
    }

    fn samples(&self, notes: &Notes, of: impl Fn(&Sample) -> usize) -> Series {
        let bins = self.gather(notes.samples.iter().map(|sample| (sample.at, of(sample))));
        bins.into_iter().map(|(sum, samples)| share(sum, samples)).collect()
    }

    /// How many rows there are beyond the first of their cart by the end of each stretch.
    fn repeated(&self, rows: &[Row]) -> Series {
        let mut rows = rows.to_vec();
        rows.sort_by_key(|row| row.at);
        let mut seen = HashSet::new();
        let repeated: Vec<_> = rows.into_iter().filter(|row| !seen.insert(row.cart)).collect();
        let ends = (1..=self.count()).map(|bin| self.width.mul_f64(bin as f64));
        ends.map(|end| Some(repeated.partition_point(|row| row.at < end) as f64)).collect()
    }

    fn reached(&self, notes: &Notes) -> Series {
        let reached = notes.reached.iter().filter(|reached| reached.route == Route::Checkout);
        let bins = self.gather(reached.map(|reached| (reached.at, 1)));
        let per_second = |(calls, _)| Some(calls as f64 / self.width.as_secs_f64());
        bins.into_iter().map(per_second).collect()
    }
}

fn head(out: &mut String) -> fmt::Result {
    writeln!(
        out,
        r##"<text x="{LEFT}" y="36" font-size="21" font-weight="bold">The same traffic and the same trouble, without and with buttress</text>
<text x="{LEFT}" y="60" fill="#495057">Naked: three retries at once. Protected: an adaptive limit before each route; toward payments retry with a budget, circuit breaker, bulkhead, timeout.</text>"##
    )?;
    for (x, colour, width, label) in
        [(LEFT, NAKED, 5.0, "naked"), (LEFT + 110.0, PROTECTED, 2.5, "protected by buttress")]
    {
        writeln!(
            out,
            r#"<line x1="{x}" y1="82" x2="{}" y2="82" stroke="{colour}" stroke-width="{width}"/><text x="{}" y="86.5" font-weight="bold">{label}</text>"#,
            x + 34.0,
            x + 42.0
        )?;
    }
    Ok(())
}

fn x_of(script: &Script, at: Duration) -> f64 {
    LEFT + at.as_secs_f64() / script.length.as_secs_f64() * (WIDTH - LEFT - RIGHT)
}

/// The phases, behind all panels.
fn bands(out: &mut String, script: &Script, bottom: f64) -> fmt::Result {
    const LABELS: f64 = 100.0;
    for phase in &script.phases {
        let (x, end) = (x_of(script, phase.start), x_of(script, phase.end));
        let (fill, label) = match phase.mood {
            Mood::Healthy => ("#ebfbee", phase.name),
            Mood::Slow => ("#fff9db", "slow 10x"),
            Mood::Errors => ("#fff4e6", phase.name),
            Mood::Hanging => ("#ffe3e3", phase.name),
            Mood::Refusing => ("#f3f0ff", phase.name),
        };
        writeln!(
            out,
            r##"<rect x="{x:.1}" y="{LABELS}" width="{:.1}" height="{:.1}" fill="{fill}"/>
<line x1="{x:.1}" y1="{LABELS}" x2="{x:.1}" y2="{bottom}" stroke="#adb5bd" stroke-dasharray="2 3"/>
<text x="{:.1}" y="{:.1}" text-anchor="middle" font-weight="bold" fill="#495057">{label}</text>"##,
            end - x,
            bottom - LABELS,
            f64::midpoint(x, end),
            LABELS + 16.0,
        )?;
    }
    writeln!(
        out,
        r##"<text x="{}" y="{}" text-anchor="end" fill="#495057">payments:</text>"##,
        LEFT - 6.0,
        LABELS + 16.0,
    )
}

fn draw(out: &mut String, panel: &Panel, y: f64, script: &Script) -> fmt::Result {
    let (end, base) = (WIDTH - RIGHT, y + PANEL);
    // A little air above the highest tick: a curve that lies on the frame cannot be seen.
    let y_of = |value: f64| base - value / panel.top * (PANEL - 8.0);
    let (title, unit) = (&panel.title, panel.unit);
    writeln!(
        out,
        r#"<text x="{}" y="{:.1}" font-weight="bold">{title}</text>"#,
        LEFT + 6.0,
        y - 8.0
    )?;
    let middle = y + PANEL / 2.0;
    writeln!(
        out,
        r##"<text x="22" y="{middle}" transform="rotate(-90 22 {middle})" text-anchor="middle" fill="#495057">{unit}</text>"##
    )?;
    let mut tick = 0.0;
    while tick <= panel.top {
        let at = y_of(tick);
        writeln!(
            out,
            r##"<line x1="{LEFT}" y1="{at:.1}" x2="{end}" y2="{at:.1}" stroke="#ced4da" stroke-width="0.7"/><text x="{}" y="{:.1}" text-anchor="end" fill="#495057">{tick}</text>"##,
            LEFT - 8.0,
            at + 4.5
        )?;
        tick += panel.step;
    }
    writeln!(
        out,
        r##"<rect x="{LEFT}" y="{y}" width="{}" height="{PANEL}" fill="none" stroke="#868e96"/>"##,
        end - LEFT
    )?;
    // The thin line over the thick one: where the two agree, both can be seen.
    curve(out, &panel.naked, NAKED, 5.0, script, y_of)?;
    curve(out, &panel.protected, PROTECTED, 2.5, script, y_of)
}

fn curve(
    out: &mut String,
    series: &Series,
    colour: &str,
    width: f64,
    script: &Script,
    y_of: impl Fn(f64) -> f64,
) -> fmt::Result {
    let mut points = String::new();
    let mut middle = script.window() / 8;
    for value in series {
        if let Some(value) = value {
            write!(points, "{:.1},{:.1} ", x_of(script, middle), y_of(*value))?;
        }
        middle += script.window() / 4;
    }
    writeln!(
        out,
        r#"<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round" stroke-linecap="round"/>"#
    )
}

fn time_axis(out: &mut String, script: &Script, y: f64) -> fmt::Result {
    let seconds = script.length.as_secs_f64();
    let step = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0].into_iter().find(|s| seconds / s <= 24.0);
    let step = step.unwrap_or(100.0);
    let mut tick = 0.0;
    while tick <= seconds {
        let x = x_of(script, Duration::from_secs_f64(tick));
        writeln!(
            out,
            r##"<line x1="{x:.1}" y1="{y}" x2="{x:.1}" y2="{:.1}" stroke="#868e96"/><text x="{x:.1}" y="{:.1}" text-anchor="middle" fill="#495057">{tick}</text>"##,
            y + 5.0,
            y + 20.0
        )?;
        tick += step;
    }
    writeln!(
        out,
        r##"<text x="{:.1}" y="{:.1}" text-anchor="middle" fill="#495057">seconds since the start of the run</text>"##,
        f64::midpoint(LEFT, WIDTH - RIGHT),
        y + 42.0
    )
}
