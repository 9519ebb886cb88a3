//! What the areas share.

pub(crate) mod faulty;
pub(crate) mod proxy;
pub(crate) mod requests;
pub(crate) mod servers;
