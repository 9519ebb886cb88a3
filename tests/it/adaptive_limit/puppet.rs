//! [`Puppet`]: an algorithm that does as the test says, and remembers what it was shown.

use std::sync::{Arc, Mutex, MutexGuard};

use buttress::adaptive_limit::{Admitted, Algorithm, Ended, Outcome, Range};

/// A clone is moved by the same strings.
#[derive(Clone, Debug)]
pub(super) struct Puppet(Arc<Mutex<Strings>>);

#[derive(Debug)]
struct Strings {
    limit: f64,
    skip: u32,
    /// It wants to hear of the ends of calls.
    listens: bool,
    panics: bool,
    range: Option<Range>,
    admitted: Vec<Admitted>,
    ended: Vec<Ended>,
}

impl Puppet {
    pub(super) fn at(limit: f64) -> Self {
        Self(Arc::new(Mutex::new(Strings {
            limit,
            skip: 0,
            listens: true,
            panics: false,
            range: None,
            admitted: Vec::new(),
            ended: Vec::new(),
        })))
    }

    fn strings(&self) -> MutexGuard<'_, Strings> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// From the next time that it is asked.
    pub(super) fn set_limit(&self, limit: f64) {
        self.strings().limit = limit;
    }

    pub(super) fn set_skip(&self, skip: u32) {
        self.strings().skip = skip;
    }

    pub(super) fn set_listens(&self, listens: bool) {
        self.strings().listens = listens;
    }

    pub(super) fn set_panics(&self, panics: bool) {
        self.strings().panics = panics;
    }

    pub(super) fn range(&self) -> Option<Range> {
        self.strings().range
    }

    /// The beginnings that it has been shown since the last look.
    pub(super) fn admitted(&self) -> Vec<Admitted> {
        std::mem::take(&mut self.strings().admitted)
    }

    /// The ends that it has been shown since the last look.
    pub(super) fn ended(&self) -> Vec<Ended> {
        std::mem::take(&mut self.strings().ended)
    }

    /// As [`ended`](Self::ended), the outcomes alone.
    pub(super) fn outcomes(&self) -> Vec<Outcome> {
        self.ended().into_iter().map(|call| call.outcome).collect()
    }
}

impl Algorithm for Puppet {
    fn begin(&mut self, range: Range) {
        self.strings().range = Some(range);
    }

    fn limit(&self) -> f64 {
        self.strings().limit
    }

    fn admitted(&mut self, call: &Admitted) -> Option<u64> {
        let mut strings = self.strings();
        assert!(!strings.panics, "as the test wants: in the algorithm");
        strings.admitted.push(*call);
        let mark = strings.admitted.len() as u64;
        strings.listens.then_some(mark)
    }

    fn ended(&mut self, call: &Ended) {
        let mut strings = self.strings();
        assert!(!strings.panics, "as the test wants: in the algorithm");
        strings.ended.push(*call);
    }

    fn skip(&self) -> u32 {
        self.strings().skip
    }
}
