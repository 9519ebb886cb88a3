//! The report as a plot over time.
