//! The rate limit.

use std::time::Duration;

use ::serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::rate_limit::{self, Overflow};
use crate::serde::duration;
use crate::serde::named::Named;

#[derive(Serialize, Deserialize)]
#[serde(remote = "rate_limit::Config", deny_unknown_fields)]
struct RateLimitConfig {
    calls: u32,
    #[serde(with = "duration", default = "second")]
    per: Duration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    burst: Option<u32>,
    #[serde(default = "one")]
    cost: u32,
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    max_wait: Option<Duration>,
    #[serde(default = "capacity")]
    capacity: usize,
    #[serde(default)]
    overflow: Overflow,
    #[serde(default)]
    shadow: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

fn second() -> Duration {
    rate_limit::Config::new(1).per
}

fn one() -> u32 {
    rate_limit::Config::new(1).cost
}

fn capacity() -> usize {
    rate_limit::Config::new(1).capacity
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Overflow", rename_all = "snake_case")]
enum OverflowMirror {
    Share,
    Refuse,
}

through! {
    RateLimitConfig for rate_limit::Config as "rate_limit";
}

enums! {
    OverflowMirror for Overflow;
}
