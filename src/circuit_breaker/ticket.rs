//! What passes between a call and the machine.

use std::time::Duration;

/// What a call takes along, to be judged by at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) generation: u64,
    pub(super) role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Counted in the window.
    Call,
    /// Decides about closing.
    Probe(u32),
    /// Let through by shadow mode although it should have been refused: decides nothing.
    Bystander,
}

/// Not admitted; when it may be tried again, if time alone will change the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) retry_after: Option<Duration>,
}

/// What became of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reception {
    Counted,
    Late,
}
