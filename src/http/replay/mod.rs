//! Request bodies that can be sent again: [`Replay`], and [`ReplayBody`] for those that stream.

mod bodies;
mod body;
mod state;
#[cfg(test)]
mod tests;
mod wakers;

pub use bodies::Replay;
pub use body::ReplayBody;
