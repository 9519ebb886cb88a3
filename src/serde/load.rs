//! The layers that limit concurrency and shed load.

use std::time::Duration;

use ::serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::adaptive_limit;
use crate::bulkhead::{self, QueueOrder};
use crate::keyed::{self, Overflow};
use crate::load_shed::{self, QueueDelay, ThrottleConfig};
use crate::serde::duration;
use crate::serde::named::Named;

#[derive(Serialize, Deserialize)]
#[serde(remote = "bulkhead::Config", deny_unknown_fields)]
struct BulkheadConfig {
    max_concurrent: usize,
    #[serde(default)]
    queue: usize,
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    max_wait: Option<Duration>,
    #[serde(default)]
    order: QueueOrder,
    #[serde(default)]
    shadow: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(
    remote = "adaptive_limit::Config",
    default = "adaptive_limit::Config::default",
    deny_unknown_fields
)]
struct AdaptiveLimitConfig {
    min: usize,
    max: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    initial: Option<usize>,
    queue: usize,
    #[serde(with = "duration::optional", skip_serializing_if = "Option::is_none")]
    max_wait: Option<Duration>,
    order: QueueOrder,
    shadow: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "QueueOrder", rename_all = "snake_case")]
enum QueueOrderMirror {
    Fifo,
    Lifo,
    Adaptive,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "load_shed::Config", default = "load_shed::Config::default", deny_unknown_fields)]
struct LoadShedConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_delay: Option<QueueDelay>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<usize>,
    #[serde(with = "duration::optional", skip_serializing_if = "Option::is_none")]
    fail_fast: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    shadow: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "QueueDelay", default = "QueueDelay::default", deny_unknown_fields)]
struct QueueDelayMirror {
    #[serde(with = "duration")]
    target: Duration,
    #[serde(with = "duration")]
    interval: Duration,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ThrottleConfig", default = "ThrottleConfig::default", deny_unknown_fields)]
struct ThrottleMirror {
    multiplier: f64,
    #[serde(with = "duration")]
    window: Duration,
    floor: f64,
    shadow: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "keyed::Config", default = "keyed::Config::default", deny_unknown_fields)]
struct KeyedConfig {
    capacity: usize,
    #[serde(with = "duration::optional", skip_serializing_if = "Option::is_none")]
    idle: Option<Duration>,
    overflow: Overflow,
    shadow: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Overflow", rename_all = "snake_case")]
enum OverflowMirror {
    Share,
    Refuse,
}

through! {
    BulkheadConfig for bulkhead::Config as "bulkhead";
    AdaptiveLimitConfig for adaptive_limit::Config as "adaptive_limit";
    LoadShedConfig for load_shed::Config as "load_shed";
    QueueDelayMirror for QueueDelay as "";
    ThrottleMirror for ThrottleConfig as "throttle";
    KeyedConfig for keyed::Config as "keyed";
}

enums! {
    QueueOrderMirror for QueueOrder;
    OverflowMirror for Overflow;
}
