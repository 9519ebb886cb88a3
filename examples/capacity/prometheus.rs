//! Prometheus' text format, as much of it as a reader of gauges, counters and sums needs.

use std::collections::BTreeMap;
use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

/// A line: a metric, its labels, its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) metric: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

impl Sample {
    pub(crate) fn label(&self, label: &str) -> &str {
        self.labels.get(label).map_or("", String::as_str)
    }
}

/// A line that is no sample.
#[derive(Debug, PartialEq)]
pub(crate) struct BadLine {
    number: usize,
    line: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} is no sample in Prometheus' text format: `{}`", self.number, self.line)
    }
}

impl std::error::Error for BadLine {}

/// The samples of a page, in its order. Comments and time stamps are skipped.
pub(crate) fn parse(page: &str) -> Result<Vec<Sample>, BadLine> {
    let lines = (1..).zip(page.lines().map(str::trim));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(number, line)| {
            // A page that is none may be one long line.
            let line_of = || line.chars().take(80).collect();
            sample(line).ok_or_else(|| BadLine { number, line: line_of() })
        })
        .collect()
}

fn sample(line: &str) -> Option<Sample> {
    let end = line.find(|c: char| c == '{' || c.is_whitespace())?;
    let (metric, rest) = line.split_at(end);
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    if metric.is_empty() || !metric.chars().all(is_name) {
        return None;
    }
    let mut chars = rest.chars().peekable();
    let labels =
        if chars.next_if_eq(&'{').is_some() { labels(&mut chars)? } else { BTreeMap::new() };
    let rest: String = chars.collect();
    let mut words = rest.split_whitespace();
    let value = words.next()?.parse().ok()?;
    Some(Sample { metric: metric.to_owned(), labels, value })
}

/// What stands between the braces, of which the first has been read.
fn labels(chars: &mut Peekable<Chars<'_>>) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    loop {
        while chars.next_if(|c| c.is_whitespace() || *c == ',').is_some() {}
        if chars.next_if_eq(&'}').is_some() {
            return Some(labels);
        }
        let mut label = String::new();
        while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
            label.push(c);
        }
        blanks(chars);
        if label.is_empty() || chars.next() != Some('=') {
            return None;
        }
        blanks(chars);
        if chars.next() != Some('"') {
            return None;
        }
        labels.insert(label, quoted(chars)?);
    }
}

fn blanks(chars: &mut Peekable<Chars<'_>>) {
    while chars.next_if(|c| c.is_whitespace()).is_some() {}
}

/// A value, of which the first quotation mark has been read.
fn quoted(chars: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut value = String::new();
    loop {
        match chars.next()? {
            '"' => return Some(value),
            '\\' => value.push(match chars.next()? {
                'n' => '\n',
                escaped => escaped,
            }),
            c => value.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Labels = Vec<(String, String)>;

    fn of(page: &str) -> Vec<(String, Labels, f64)> {
        let samples = parse(page).unwrap().into_iter();
        samples.map(|s| (s.metric, s.labels.into_iter().collect(), s.value)).collect()
    }

    #[test]
    fn a_page_is_read_with_its_labels_and_without_its_comments() {
        let page = "# HELP buttress_limit The limit.\n# TYPE buttress_limit gauge\n\
                    buttress_limit{layer=\"bulkhead\",name=\"http\"} 64\n\n\
                    up 1 1700000000000\n  spaced{ a = \"1\" }  2\n";
        let label = |label: &str, value: &str| (label.to_owned(), value.to_owned());
        let wanted = [
            (
                "buttress_limit".into(),
                vec![label("layer", "bulkhead"), label("name", "http")],
                64.0,
            ),
            ("up".into(), vec![], 1.0),
            ("spaced".into(), vec![label("a", "1")], 2.0),
        ];
        assert_eq!(of(page), wanted);
    }

    #[test]
    fn values_have_every_form_that_numbers_have() {
        for (text, value) in [("1e3", 1e3), ("+Inf", f64::INFINITY), ("-Inf", f64::NEG_INFINITY)] {
            assert_eq!(of(&format!("x {text}")), [("x".to_owned(), vec![], value)]);
        }
        assert!(parse("x NaN").unwrap()[0].value.is_nan());
    }

    #[test]
    fn escapes_braces_and_commas_in_a_label_are_its_own() {
        let page = r#"x{a="say \"hi\"",b="{1,2} \\ \n",} 1"#;
        let samples = parse(page).unwrap();
        assert_eq!(samples[0].label("a"), "say \"hi\"");
        assert_eq!(samples[0].label("b"), "{1,2} \\ \n");
        assert_eq!(samples[0].label("c"), "");
    }

    #[test]
    fn what_is_no_page_of_metrics_is_told_by_its_line() {
        for (page, number) in [
            ("<html>", 1),
            ("up 1\nx{a=\"1\" 2", 2),
            ("x{a=1} 2", 1),
            ("x{=\"1\"} 2", 1),
            ("x", 1),
            ("x one", 1),
            ("{a=\"1\"} 2", 1),
        ] {
            assert_eq!(parse(page).unwrap_err().number, number, "{page}");
        }
        let told = parse(&"x".repeat(1000)).unwrap_err().to_string();
        assert!(told.len() < 200 && told.starts_with("line 1 is no sample"), "{told}");
    }
}
