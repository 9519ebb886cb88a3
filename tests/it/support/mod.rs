//! What the tests stand on: an inner service that insists on tower's contract, an observer that
//! keeps the books, and a hand to poll futures with.

mod hand;
mod ledger;
mod mock;
mod parcel;
#[cfg(feature = "http")]
mod pipe;

pub(crate) use hand::{Hand, call, panics, poll_once, ready};
pub(crate) use ledger::{Ledger, admitted, settled};
pub(crate) use mock::{Ask, Fault, Mock, Reply, Watch, refusal};
pub(crate) use parcel::{Parcel, Seen, Unpack};
#[cfg(feature = "http")]
pub(crate) use pipe::{Fill, Pipe, pipe};
