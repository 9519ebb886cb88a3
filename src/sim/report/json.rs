//! The report as JSON.

use super::Report;

impl Report {
    /// The report as JSON, on one line.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("a report has text keys and finite numbers")
    }
}
