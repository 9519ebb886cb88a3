//! [`Priority`]: who goes first where not everybody can, and the requests that carry it.

mod levels;

use std::fmt;

use crate::deadline::{Extended, FromRequest};

pub use levels::UserLevels;

/// How much it matters that a request is served: its class, and its level inside the class.
///
/// Orders by importance: the smaller of two is the more important, and nothing is before
/// [`EXEMPT`](Self::EXEMPT). A request without one counts as [`PriorityClass::Default`].
///
/// Where only a part of a class can be served, whole levels of it go, the last ones first. Give
/// each user a level, by [`UserLevels`], and some users are served in full; without levels every
/// user would lose some requests, and hardly any of them finish what takes several.
///
/// Never take it from the network as it is: whoever calls would call everything critical. Give the
/// layer a closure that decides whom it believes.
///
/// ```
/// use buttress::load_shed::{Priority, PriorityClass};
///
/// let checkout = Priority::new(PriorityClass::Critical);
/// let export = Priority::new(PriorityClass::Batch).at_level(90);
/// assert!(checkout < export);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority {
    // First: what may not be refused, `false`, is before all that may be.
    refusable: bool,
    class: PriorityClass,
    level: u8,
}

impl Priority {
    /// Levels in a class: they go from 0, served first, to one less than this.
    pub const LEVELS: u8 = 128;

    /// Never shed, and before every other: for health checks, without which an orchestrator would
    /// take an overloaded instance for a dead one, and leave its load to the others. To an adaptive
    /// limit, which counts what is in flight, it is a critical call like others.
    ///
    /// Its class is [`PriorityClass::Critical`]. Not for work: what cannot be refused cannot be
    /// protected from either.
    pub const EXEMPT: Self = Self { refusable: false, class: PriorityClass::Critical, level: 0 };

    /// How many there are of classes and levels together.
    pub(crate) const RANKS: usize = PriorityClass::ALL.len() * Self::LEVELS as usize;

    /// At the first level of this class.
    #[must_use]
    pub const fn new(class: PriorityClass) -> Self {
        Self { refusable: true, class, level: 0 }
    }

    /// At this level of its class, of 0, served first, to 127. A higher one counts as 127. What is
    /// exempt has no levels and stays as it is.
    #[must_use]
    pub const fn at_level(mut self, level: u8) -> Self {
        if self.refusable {
            self.level = if level < Self::LEVELS { level } else { Self::LEVELS - 1 };
        }
        self
    }

    /// The class.
    #[must_use]
    pub const fn class(self) -> PriorityClass {
        self.class
    }

    /// The level inside the class: 0, served first, to 127.
    #[must_use]
    pub const fn level(self) -> u8 {
        self.level
    }

    /// Whether it is [`EXEMPT`](Self::EXEMPT).
    #[must_use]
    pub const fn is_exempt(self) -> bool {
        !self.refusable
    }

    /// Its place among all that may be refused, from 0, the most important.
    pub(crate) const fn rank(self) -> usize {
        self.class.index() * Self::LEVELS as usize + self.level as usize
    }
}

impl Default for Priority {
    /// The first level of [`PriorityClass::Default`].
    fn default() -> Self {
        Self::new(PriorityClass::default())
    }
}

impl From<PriorityClass> for Priority {
    fn from(class: PriorityClass) -> Self {
        Self::new(class)
    }
}

/// What kind of work a request is, the most important first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PriorityClass {
    /// Failing it costs: payments, logins, what holds the system together.
    Critical,
    /// Somebody waits for it. What a request is that says nothing.
    #[default]
    Default,
    /// Nobody waits, but it must be done soon.
    Batch,
    /// It must be done some time.
    Background,
    /// It may be dropped whenever that helps: prefetching, speculation.
    Sheddable,
}

impl PriorityClass {
    /// Every class, the most important first.
    pub const ALL: [Self; 5] =
        [Self::Critical, Self::Default, Self::Batch, Self::Background, Self::Sheddable];

    /// Its place in [`ALL`](Self::ALL).
    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// A stable word for it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Default => "default",
            Self::Batch => "batch",
            Self::Background => "background",
            Self::Sheddable => "sheddable",
        }
    }
}

impl fmt::Display for PriorityClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// Where a layer finds the priority of a request: [`NoPriority`], [`FromRequest`], or a closure
/// `Fn(&Req) -> Option<Priority>`.
///
/// A type parameter of the layers and not a bound on the request, so that requests of any type
/// can pass.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot find a priority in a request of type `{Req}`",
    note = "`FromRequest` serves requests with extensions (`http::Request` with feature `http`, `tonic::Request` with feature `grpc`); for any other, pass a closure `|request: &{Req}| -> Option<Priority> {{ .. }}`"
)]
pub trait FindPriority<Req> {
    /// The priority of `request`, where it has one.
    fn find_priority(&self, request: &Req) -> Option<Priority>;
}

/// All requests are alike: the default of every layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoPriority;

impl<Req> FindPriority<Req> for NoPriority {
    fn find_priority(&self, _: &Req) -> Option<Priority> {
        None
    }
}

impl<Req: Extended> FindPriority<Req> for FromRequest {
    fn find_priority(&self, request: &Req) -> Option<Priority> {
        request.extension().copied()
    }
}

impl<Req, F> FindPriority<Req> for F
where
    F: Fn(&Req) -> Option<Priority>,
{
    fn find_priority(&self, request: &Req) -> Option<Priority> {
        self(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_classes_with_128_levels_inside_each_in_the_order_of_their_ranks() {
        let classes = PriorityClass::ALL.into_iter();
        let all: Vec<Priority> = classes
            .flat_map(|class| (0..128).map(move |n| Priority::new(class).at_level(n)))
            .collect();
        assert_eq!(all.len(), 5 * 128);
        assert!(all.is_sorted_by(|before, after| before < after));
        let ranks: Vec<usize> = all.iter().map(|priority| priority.rank()).collect();
        assert_eq!(ranks, (0..Priority::RANKS).collect::<Vec<_>>());
        assert!(all.iter().all(|priority| Priority::EXEMPT < *priority && !priority.is_exempt()));
    }

    #[test]
    fn what_is_exempt_stays_so_and_is_nobodys_default() {
        assert!(Priority::EXEMPT.at_level(90).is_exempt());
        assert_eq!(Priority::EXEMPT.at_level(90), Priority::EXEMPT);
        assert_eq!(Priority::default(), Priority::new(PriorityClass::Default));
        assert_eq!(Priority::default().at_level(200).level(), 127);
    }
}
