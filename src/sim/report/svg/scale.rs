//! Where things are in the picture, and how numbers and names are written in it.

pub(super) const WIDTH: f64 = 1100.0;
pub(super) const LEFT: f64 = 78.0;
pub(super) const RIGHT: f64 = 28.0;
/// Of one panel.
pub(super) const HEIGHT: f64 = 170.0;
pub(super) const GAP: f64 = 52.0;
pub(super) const BOTTOM: f64 = 58.0;

/// From values, 0 to `top`, to places in the picture.
pub(super) struct Scale {
    top: f64,
    from: f64,
    to: f64,
}

impl Scale {
    pub(super) fn linear(top: f64, (from, to): (f64, f64)) -> Self {
        // Of an empty run something must still be drawn.
        Self { top: if top > 0.0 { top } else { 1.0 }, from, to }
    }

    /// What lies beyond the top is drawn at the top.
    pub(super) fn at(&self, value: f64) -> f64 {
        self.from + (value / self.top).clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// Round values from 0 to the top, so many of them at most.
    pub(super) fn ticks(&self, at_most: f64) -> impl Iterator<Item = f64> {
        let (top, step) = (self.top, step(self.top, at_most));
        // The sum of many steps would miss the last.
        (0_u32..).map(move |index| f64::from(index) * step).take_while(move |tick| *tick <= top)
    }
}

/// The smallest of 1, 2, 5, 10, 20, .. and of their tenths, that leaves at most so many of them
/// below `top`.
pub(super) fn step(top: f64, at_most: f64) -> f64 {
    let decade = 10_f64.powf((top / at_most).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * decade);
    steps.into_iter().find(|step| top / step <= at_most).unwrap_or(decade * 10.0)
}

/// A number on an axis.
pub(super) fn short(number: f64) -> String {
    // A tick of 0.3 is 3 * 0.1, which is not quite 0.3.
    let number = (number * 1e6).round() / 1e6;
    if number >= 10_000.0 { format!("{}k", number / 1e3) } else { number.to_string() }
}

/// At most so many characters.
pub(super) fn clip(name: &str, at_most: usize) -> String {
    if name.chars().count() <= at_most {
        return name.to_owned();
    }
    let start: String = name.chars().take(at_most - 1).collect();
    format!("{start}…")
}

/// Text as XML takes it.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // XML 1.0 has no way to write these.
            char if char.is_control() || matches!(char, '\u{fffe}' | '\u{ffff}') => {
                out.push('\u{fffd}');
            }
            char => out.push(char),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_few() {
        assert!((step(1.0, 5.0) - 0.2).abs() < 1e-9);
        assert!((step(60.0, 12.0) - 5.0).abs() < 1e-9);
        assert!((step(601.0, 6.0) - 200.0).abs() < 1e-9);
        assert!((step(7.0, 5.0) - 2.0).abs() < 1e-9);
        for top in [0.003, 0.9, 1.0, 7.5, 99.0, 100.0, 12_345.0, 1e9] {
            let count = top / step(top, 6.0);
            assert!((2.4..=6.0 + 1e-9).contains(&count), "{top}: {count} steps");
        }
    }

    #[test]
    fn ticks_do_not_pass_the_top() {
        let scale = Scale::linear(0.9, (0.0, 9.0));
        let ticks: Vec<String> = scale.ticks(10.0).map(short).collect();
        assert_eq!(ticks, ["0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9"]);
        assert_eq!(short(20_000.0), "20k");
        assert!((scale.at(0.45) - 4.5).abs() < 1e-9);
        assert!(Scale::linear(0.0, (0.0, 9.0)).at(0.0).abs() < 1e-9, "of an empty run");
    }

    #[test]
    fn names_are_text_of_xml() {
        assert_eq!(escape("<a href=\"x\">&'\u{1}"), "&lt;a href=&quot;x&quot;&gt;&amp;'\u{fffd}");
        assert_eq!(clip("payments", 8), "payments");
        assert_eq!(clip("paymentsé", 8), "payment…");
    }
}
