//! The report as JSON.

use super::Report;

impl Report {
    /// The report as JSON, on one line.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::json!(self).to_string()
    }
}
