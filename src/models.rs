//! The cores against their naive models, for `fuzz/` alone: there in tests, and where the compiler
//! is given `--cfg fuzzing`, as cargo-fuzz does, or `--cfg buttress_fuzz`. No part of the API.
//!
//! Each `run` takes a core and its model through the same operations, and panics where they differ.

pub mod slots {
    pub use crate::admission::model::{Op, run, run_capped};
}

pub mod budget {
    pub use crate::budget::model::{Op, run_unwatched, run_watched};
}

pub mod circuit_breaker {
    pub use crate::circuit_breaker::model::{Op, run};
}

pub mod codel {
    pub use crate::codel::model::{Op, run};
}

pub mod hedge {
    pub use crate::hedge::model::{Call, run};
}

pub mod records {
    pub use crate::idempotency::memory::model::{Bounds, KEYS, Op, run};
}

#[cfg(feature = "http")]
pub mod stored_record {
    pub use crate::idempotency::stored_record::{Field, decode, encode};
}

pub mod threshold {
    pub use crate::load_shed::threshold::model::{Op, run};
}

pub mod window {
    pub use crate::window::model::{Op, run};
}
