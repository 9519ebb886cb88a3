//! Who is on trial: ours, the default first, and the others.

use buttress::adaptive_limit::{Aimd, Algorithm, Cohort, Gradient, Vegas};

use crate::adaptive::peers;

/// An algorithm in its default configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) name: &'static str,
    pub(crate) new: fn() -> Box<dyn Algorithm>,
}

/// The default first.
pub(crate) fn all() -> Vec<Candidate> {
    let mut all = vec![
        Candidate { name: "cohort", new: || Box::new(Cohort::new()) },
        Candidate { name: "aimd", new: || Box::new(Aimd::new()) },
        Candidate { name: "vegas", new: || Box::new(Vegas::new()) },
        Candidate { name: "gradient", new: || Box::new(Gradient::new()) },
    ];
    all.extend(peers::peers().into_iter().map(|(name, new)| Candidate { name, new }));
    all
}

/// All, or the one of this name.
pub(crate) fn chosen(name: Option<&str>) -> Vec<Candidate> {
    let mut all = all();
    all.retain(|candidate| name.is_none_or(|name| candidate.name == name));
    all
}
