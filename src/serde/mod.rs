//! The layers' settings and snapshots for configuration files (feature `serde`).
//!
//! The layers themselves know nothing of it: each type has its mirror here, from which serde
//! derives. A field that is added there and forgotten here does not compile.

/// Both directions through the mirror; what is wrong with a field is reported under its name.
macro_rules! through {
    ($($mirror:ident for $type:ty as $name:literal;)*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $mirror::serialize(self, serializer)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $mirror::deserialize(Named::new($name, deserializer))
            }
        }
    )*};
}

/// As [`through!`], for what has no fields.
macro_rules! enums {
    ($($mirror:ident for $type:ty;)*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $mirror::serialize(self, serializer)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $mirror::deserialize(deserializer)
            }
        }
    )*};
}

// Below the macros, which they need.
mod attempts;
mod circuit_breaker;
pub(crate) mod duration;
mod idempotency;
mod load;
mod named;
#[cfg(feature = "rate-limit")]
mod rate_limit;
mod timeout;
