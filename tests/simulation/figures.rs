//! The figures behind a claim: printed once all seeds have held.

use std::cell::RefCell;

/// What a scenario measures, over its runs.
pub(crate) struct Spread {
    what: &'static str,
    figures: RefCell<Vec<f64>>,
}

impl Spread {
    pub(crate) fn of(what: &'static str) -> Self {
        Self { what, figures: RefCell::new(Vec::new()) }
    }

    /// Takes in the figure of one run, and gives it back.
    pub(crate) fn note(&self, figure: f64) -> f64 {
        self.figures.borrow_mut().push(figure);
        figure
    }
}

impl Drop for Spread {
    fn drop(&mut self) {
        let figures = self.figures.get_mut();
        figures.sort_unstable_by(f64::total_cmp);
        if let (Some(least), Some(most)) = (figures.first(), figures.last()) {
            let (runs, median) = (figures.len(), figures[figures.len() / 2]);
            println!("{}: {least:.4} to {most:.4}, median {median:.4}, of {runs}", self.what);
        }
    }
}
