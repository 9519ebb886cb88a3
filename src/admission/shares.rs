//! [`Shares`]: how kinds of calls share the slots.

/// What each kind of call may have of the limit.
#[derive(Debug)]
pub(crate) enum Shares {
    /// All are alike.
    Alike,
    /// Once all slots are taken, a kind with fewer than its share is still let in.
    Promised(Box<[f64]>),
    /// A kind is let in only while fewer slots are taken, by anybody, than its share.
    AtMost(Box<[f64]>),
}

impl Shares {
    pub(crate) fn promised(shares: Vec<f64>) -> Self {
        if shares.is_empty() { Self::Alike } else { Self::Promised(shares.into()) }
    }

    /// The slots that a kind is let in below, whatever it has itself: all where nothing else is
    /// said.
    pub(super) fn at_most(&self, limit: usize, kind: usize) -> usize {
        match self {
            Self::AtMost(shares) if !cfg!(mutant = "class-share-ignored") => {
                shares.get(kind).map_or(limit, |share| part(limit, *share))
            }
            _ => limit,
        }
    }

    /// The slots that a kind is owed.
    pub(super) fn owed(&self, limit: usize, kind: usize) -> usize {
        match self {
            // A limit of 0 refuses everything, promises included.
            Self::Promised(shares) if limit > 0 => {
                shares.get(kind).map_or(0, |share| part(limit, *share))
            }
            _ => 0,
        }
    }

    /// How many kinds are counted apart.
    pub(super) fn counted(&self) -> usize {
        match self {
            Self::Promised(shares) => shares.len(),
            _ => 0,
        }
    }
}

/// `max(1, ceil(limit * share))`.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn part(limit: usize, share: f64) -> usize {
    // 100 * 0.07 is 7.000000000000001 in binary: without the nudge its ceiling would be 8.
    (limit as f64 * share - 1e-9).ceil().max(1.0) as usize
}
