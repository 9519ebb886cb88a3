//! One panel of the plot: an axis, curves, and what they are.

use std::fmt::{self, Write};

use super::scale::{HEIGHT, LEFT, RIGHT, Scale, WIDTH, clip, escape, short, step};
use super::series::Series;
use super::{BLACK, GREY};

pub(super) struct Panel {
    title: &'static str,
    unit: &'static str,
    curves: Vec<Curve>,
}

pub(super) struct Curve {
    name: String,
    colour: &'static str,
    style: Style,
    series: Series,
}

#[derive(Clone, Copy, PartialEq)]
enum Style {
    Line,
    Dashed,
    /// A line, and the area below it.
    Area,
}

impl Curve {
    pub(super) fn line(name: &str, colour: &'static str, series: Series) -> Self {
        Self { name: clip(name, 36), colour, style: Style::Line, series }
    }

    pub(super) fn dashed(name: &str, colour: &'static str, series: Series) -> Self {
        Self { style: Style::Dashed, ..Self::line(name, colour, series) }
    }

    pub(super) fn area(name: &str, colour: &'static str, series: Series) -> Self {
        Self { style: Style::Area, ..Self::line(name, colour, series) }
    }

    fn peak(&self) -> f64 {
        self.series.points.iter().map(|point| point.1).fold(0.0, f64::max)
    }

    /// How it looks, as attributes.
    fn stroke(&self) -> &'static str {
        match self.style {
            Style::Line => r#"stroke-width="2.2""#,
            Style::Dashed => r#"stroke-width="1.4" stroke-dasharray="6 4""#,
            Style::Area => r#"stroke-width="1.2""#,
        }
    }

    fn draw(&self, out: &mut String, time: &Scale, value: &Scale) -> fmt::Result {
        let Self { colour, .. } = self;
        let mut points = String::new();
        for (at, of) in &self.series.points {
            write!(points, "{:.1},{:.1} ", time.at(*at), value.at(*of))?;
        }
        let [first, last] = [self.series.points.first(), self.series.points.last()]
            .map(|point| point.map_or(LEFT, |(at, _)| time.at(*at)));
        if self.style == Style::Area {
            let base = value.at(0.0);
            writeln!(
                out,
                r#"<polygon points="{first:.1},{base:.1} {points}{last:.1},{base:.1}" fill="{colour}" fill-opacity="0.22"/>"#
            )?;
        }
        writeln!(
            out,
            r#"<polyline points="{points}" fill="none" stroke="{colour}" {} stroke-linejoin="round"/>"#,
            self.stroke()
        )
    }
}

impl Panel {
    pub(super) fn new(title: &'static str, unit: &'static str) -> Self {
        Self { title, unit, curves: Vec::new() }
    }

    pub(super) fn curve(mut self, curve: Curve) -> Self {
        self.curves.push(curve);
        self
    }

    pub(super) fn draw(&self, out: &mut String, time: &Scale, top: f64) -> fmt::Result {
        const TICKS: f64 = 5.0;
        let base = top + HEIGHT;
        let peak = self.curves.iter().map(Curve::peak).fold(5.0, f64::max);
        let step = step(peak, TICKS);
        // A little air above the highest tick: a curve that lies on the frame cannot be seen.
        let value = Scale::linear((peak / step).ceil() * step * 1.04, (base, top));
        for tick in value.ticks(TICKS + 1.0) {
            let y = value.at(tick);
            writeln!(
                out,
                r##"<line x1="{LEFT}" y1="{y:.1}" x2="{}" y2="{y:.1}" stroke="#dee2e6" stroke-width="0.8"/><text x="{}" y="{:.1}" text-anchor="end">{}</text>"##,
                WIDTH - RIGHT,
                LEFT - 8.0,
                y + 4.5,
                short(tick)
            )?;
        }
        for curve in &self.curves {
            curve.draw(out, time, &value)?;
        }
        let (width, middle) = (WIDTH - RIGHT - LEFT, top + HEIGHT / 2.0);
        let (title, unit) = (self.title, self.unit);
        writeln!(
            out,
            r#"<rect x="{LEFT}" y="{top}" width="{width}" height="{HEIGHT}" fill="none" stroke="{GREY}"/>
<text x="{LEFT}" y="{}" font-weight="bold">{title}</text>
<text x="20" y="{middle}" transform="rotate(-90 20 {middle})" text-anchor="middle">{unit}</text>"#,
            top - 8.0
        )?;
        self.legend(out, top - 8.0)
    }

    /// From right to left, above the panel.
    fn legend(&self, out: &mut String, y: f64) -> fmt::Result {
        #[allow(clippy::cast_precision_loss)]
        let title = LEFT + self.title.len() as f64 * 8.0;
        let mut x = WIDTH - RIGHT;
        for curve in self.curves.iter().rev() {
            let Curve { name, colour, .. } = curve;
            #[allow(clippy::cast_precision_loss)]
            let room = name.chars().count() as f64 * 6.9;
            x -= room;
            // There is the title.
            if x - 34.0 < title {
                return Ok(());
            }
            let (from, to, line) = (x - 34.0, x - 6.0, y - 4.5);
            writeln!(
                out,
                r#"<line x1="{from:.1}" y1="{line}" x2="{to:.1}" y2="{line}" stroke="{colour}" {}/><text x="{x:.1}" y="{y}" font-size="12" fill="{BLACK}">{}</text>"#,
                curve.stroke(),
                escape(name)
            )?;
            x -= 48.0;
        }
        Ok(())
    }
}
