//! [`Priority`]: who goes first where not everybody can, and the requests that carry it.

use std::fmt;

use crate::deadline::{Extended, FromRequest};

/// How much it matters that a request is served: its class, and its level inside the class.
///
/// Orders by importance: the smaller of two is the more important. A request without one counts as
/// [`PriorityClass::Default`].
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority {
    class: PriorityClass,
    level: u8,
}

impl Priority {
    /// Levels in a class: they go from 0, served first, to one less than this.
    pub const LEVELS: u8 = 128;

    /// At the first level of this class.
    #[must_use]
    pub const fn new(class: PriorityClass) -> Self {
        Self { class, level: 0 }
    }

    /// At this level of its class, of 0, served first, to 127. A higher one counts as 127.
    #[must_use]
    pub const fn at_level(mut self, level: u8) -> Self {
        self.level = if level < Self::LEVELS { level } else { Self::LEVELS - 1 };
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
