//! What the areas share.

pub(crate) mod faulty;
pub(crate) mod proxy;
pub(crate) mod servers;
