//! The parts of the plot: frames with axes, and curves in them.

use std::fmt::{self, Write};

pub(crate) const GREY: &str = "#495057";

/// An axis from 0 to `top`, or from the first of its ticks to the last.
#[derive(Debug)]
pub(crate) struct Axis {
    pub(crate) from: f64,
    pub(crate) to: f64,
    /// Where a tick is, and what it says.
    pub(crate) ticks: Vec<(f64, String)>,
    pub(crate) unit: String,
}

impl Axis {
    /// From 0 up to what holds `peak`, with at most six steps.
    pub(crate) fn up_to(peak: f64, unit: &str) -> Self {
        let steps = [1.0, 2.0, 5.0, 10.0, 20.0, 25.0, 50.0, 100.0, 200.0, 500.0, 1000.0];
        let step = steps.into_iter().find(|step| peak / step <= 6.0).unwrap_or(peak / 6.0);
        let mut ticks = vec![(0.0, "0".to_owned())];
        let mut to = 0.0;
        while to < peak {
            to += step;
            ticks.push((to, format!("{to:.0}")));
        }
        Self { from: 0.0, to, ticks, unit: unit.to_owned() }
    }
}

/// A panel: its place on the page, and its axes.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) title: String,
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
    /// How far above the frame its title stands.
    pub(crate) above: f64,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
}

impl Frame {
    pub(crate) fn x_of(&self, value: f64) -> f64 {
        self.left + (value - self.x.from) / (self.x.to - self.x.from) * self.width
    }

    fn y_of(&self, value: f64) -> f64 {
        // A little air above the highest tick: a curve that lies on the frame cannot be seen.
        let share = (value - self.y.from) / (self.y.to - self.y.from);
        self.bottom() - share * (self.height - 10.0)
    }

    pub(crate) fn bottom(&self) -> f64 {
        self.top + self.height
    }

    pub(crate) fn draw(&self, out: &mut String) -> fmt::Result {
        let (left, top, right, bottom) =
            (self.left, self.top, self.left + self.width, self.bottom());
        writeln!(
            out,
            r#"<text x="{left}" y="{:.1}" font-weight="bold">{}</text>"#,
            top - self.above,
            self.title
        )?;
        for (tick, label) in &self.y.ticks {
            let y = self.y_of(*tick);
            writeln!(
                out,
                r##"<line x1="{left}" y1="{y:.1}" x2="{right}" y2="{y:.1}" stroke="#ced4da" stroke-width="0.7"/><text x="{:.1}" y="{:.1}" text-anchor="end" fill="{GREY}">{label}</text>"##,
                left - 7.0,
                y + 4.5
            )?;
        }
        for (tick, label) in &self.x.ticks {
            let x = self.x_of(*tick);
            writeln!(
                out,
                r##"<line x1="{x:.1}" y1="{bottom}" x2="{x:.1}" y2="{:.1}" stroke="#868e96"/><text x="{x:.1}" y="{:.1}" text-anchor="middle" fill="{GREY}">{label}</text>"##,
                bottom + 5.0,
                bottom + 19.0
            )?;
        }
        let (side, middle) = (left - 44.0, f64::midpoint(top, bottom));
        writeln!(
            out,
            r##"<text x="{side}" y="{middle}" transform="rotate(-90 {side} {middle})" text-anchor="middle" fill="{GREY}">{}</text>
<text x="{:.1}" y="{:.1}" text-anchor="middle" fill="{GREY}">{}</text>
<rect x="{left}" y="{top}" width="{}" height="{}" fill="none" stroke="#868e96"/>"##,
            self.y.unit,
            f64::midpoint(left, right),
            bottom + 38.0,
            self.x.unit,
            self.width,
            self.height
        )
    }

    /// A curve through these points, each with a dot where they are few.
    pub(crate) fn curve(
        &self,
        out: &mut String,
        points: &[(f64, f64)],
        (colour, width): (&str, f64),
    ) -> fmt::Result {
        let place = |(x, y): &(f64, f64)| (self.x_of(*x), self.y_of(*y));
        let mut line = String::new();
        for (x, y) in points.iter().map(place) {
            write!(line, "{x:.1},{y:.1} ")?;
        }
        writeln!(
            out,
            r#"<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round" stroke-linecap="round"/>"#
        )?;
        if points.len() < 30 {
            for (x, y) in points.iter().map(place) {
                writeln!(
                    out,
                    r#"<circle cx="{x:.1}" cy="{y:.1}" r="{:.1}" fill="{colour}"/>"#,
                    width / 2.0 + 2.0
                )?;
            }
        }
        Ok(())
    }

    /// A level, or any line that nothing was measured for.
    pub(crate) fn dashed(&self, out: &mut String, points: &[(f64, f64)]) -> fmt::Result {
        let mut line = String::new();
        for (x, y) in points {
            write!(line, "{:.1},{:.1} ", self.x_of(*x), self.y_of(*y))?;
        }
        writeln!(
            out,
            r##"<polyline points="{line}" fill="none" stroke="#212529" stroke-dasharray="5 4"/>"##
        )
    }

    pub(crate) fn note(&self, out: &mut String, (x, y): (f64, f64), text: &str) -> fmt::Result {
        let (x, y) = (self.x_of(x), self.y_of(y));
        writeln!(out, r#"<text x="{:.1}" y="{:.1}" font-size="12">{text}</text>"#, x + 6.0, y - 5.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_holds_its_peak_in_at_most_six_steps() {
        for peak in [0.5, 1.0, 17.0, 100.0, 204.9, 250.0, 999.0, 12_345.0] {
            let axis = Axis::up_to(peak, "ms");
            assert!(axis.to >= peak && (2..=7).contains(&axis.ticks.len()), "{peak}: {axis:?}");
        }
    }
}
