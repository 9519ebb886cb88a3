//! Admission: the permit that every admitted call holds, and the counted slots behind the layers
//! that limit concurrency.
//!
//! The public part is what an adapter or a layer of your own needs to keep a permit longer than
//! the response future: [`Hold`] and [`Settle`].

mod call;
mod front;
mod limiter;
#[cfg(all(test, any(buttress_loom, buttress_shuttle)))]
mod loom_tests;
#[cfg(any(test, fuzzing, buttress_fuzz))]
pub(crate) mod model;
#[cfg(test)]
mod model_tests;
pub(crate) mod modes;
mod permit;
mod place;
mod queued;
mod shares;
pub(crate) mod slots;
mod waiters;

pub(crate) use call::{Call, taken};
pub(crate) use front::Front;
pub(crate) use limiter::{Entry, Limited, Limiter, enter_or_wait, try_enter};
pub(crate) use modes::{Queue, Refuse};
pub(crate) use permit::{Admitter, Permit};
pub(crate) use place::Place;
pub(crate) use queued::QueuedCall;
pub(crate) use shares::Shares;
pub(crate) use slots::{Enqueued, QueueLimit, QueueOrder, Slots, Waiter};

pub use permit::{Hold, PollHold, Settle};
