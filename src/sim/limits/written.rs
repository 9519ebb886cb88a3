//! What holds from some time on, as it is written: pairs of a time and a value.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::serde::duration;

#[derive(Serialize, Deserialize)]
struct Rate(#[serde(with = "duration")] Duration, f64);

#[derive(Serialize, Deserialize)]
struct Way(#[serde(with = "duration")] Duration, #[serde(with = "duration")] Duration);

pub(super) mod rates {
    use super::{Deserialize, Deserializer, Duration, Rate, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        steps: &[(Duration, f64)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(steps.iter().map(|&(from, rate)| Rate(from, rate)))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(Duration, f64)>, D::Error> {
        let steps = Vec::<Rate>::deserialize(deserializer)?;
        Ok(steps.into_iter().map(|Rate(from, rate)| (from, rate)).collect())
    }
}

pub(super) mod ways {
    use super::{Deserialize, Deserializer, Duration, Serializer, Way};

    pub(in super::super) fn serialize<S: Serializer>(
        steps: &[(Duration, Duration)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(steps.iter().map(|&(from, way)| Way(from, way)))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(Duration, Duration)>, D::Error> {
        let steps = Vec::<Way>::deserialize(deserializer)?;
        Ok(steps.into_iter().map(|Way(from, way)| (from, way)).collect())
    }
}
