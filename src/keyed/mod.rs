//! Keyed.

mod config;
mod entry;
mod find;
mod future;
mod handle;
mod labels;
mod layer;
mod registry;
mod service;
mod site;
mod state;
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
