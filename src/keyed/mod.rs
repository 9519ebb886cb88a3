//! Keyed.

mod config;
mod entry;
mod find;
mod future;
mod handle;
mod labels;
mod layer;
#[cfg(all(test, any(buttress_loom, buttress_shuttle)))]
mod loom_tests;
#[cfg(test)]
mod model_tests;
mod registry;
mod service;
mod site;
mod state;
#[cfg(test)]
mod threads_tests;
mod with_handle;

pub use crate::pinned::Pinned;
pub use config::{Config, Overflow};
pub use find::{ByRef, ByValue, FindKey};
pub use future::{HeldInstance, ResponseFuture};
pub use handle::Handle;
pub use labels::Labels;
pub use layer::{Builder, KeyedLayer};
pub use service::Keyed;
pub use with_handle::WithHandle;
