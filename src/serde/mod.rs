//! The layers' settings and snapshots for configuration files (feature `serde`).
//!
//! The layers themselves know nothing of it: each type has its mirror here, from which serde
//! derives. A field that is added there and forgotten here does not compile.

pub(crate) mod duration;
mod named;

use std::time::Duration;

use ::serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::adaptive_limit;
use crate::bulkhead::{self, QueueOrder};
use crate::circuit_breaker::{self, Phase, SlowCalls, Snapshot, Window};
use crate::classify::Class;
use crate::hedge::{self, Delay};
#[cfg(feature = "http")]
use crate::http::BodyTimeoutConfig;
use crate::load_shed::{self, QueueDelay, ThrottleConfig};
use crate::retry::{self, Backoff, BudgetConfig, Jitter};
use crate::serde::named::Named;
use crate::timeout::{self, HeaderFormat};

#[derive(Serialize, Deserialize)]
#[serde(remote = "timeout::Config", deny_unknown_fields)]
struct TimeoutConfig {
    #[serde(with = "duration")]
    limit: Duration,
    #[serde(default)]
    also_readiness: bool,
    #[serde(default)]
    shadow: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(
    remote = "timeout::DeadlineConfig",
    default = "timeout::DeadlineConfig::default",
    deny_unknown_fields
)]
struct DeadlineConfig {
    header: String,
    #[serde(with = "duration::optional", skip_serializing_if = "Option::is_none")]
    at_most: Option<Duration>,
    shadow: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(
    remote = "timeout::PropagateDeadlineConfig",
    default = "timeout::PropagateDeadlineConfig::default",
    deny_unknown_fields
)]
struct PropagateDeadlineConfig {
    header: String,
    format: HeaderFormat,
    #[serde(with = "duration")]
    margin: Duration,
    shadow: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "HeaderFormat", rename_all = "snake_case")]
enum HeaderFormatMirror {
    Grpc,
    Millis,
}

#[cfg(feature = "http")]
#[derive(Serialize, Deserialize)]
#[serde(remote = "BodyTimeoutConfig", default = "BodyTimeoutConfig::default", deny_unknown_fields)]
struct BodyTimeoutMirror {
    #[serde(with = "duration::optional", skip_serializing_if = "Option::is_none")]
    idle: Option<Duration>,
    #[serde(with = "duration::optional", skip_serializing_if = "Option::is_none")]
    total: Option<Duration>,
    shadow: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

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
#[serde(
    remote = "circuit_breaker::Config",
    default = "circuit_breaker::Config::default",
    deny_unknown_fields
)]
struct CircuitBreakerConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_rate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consecutive_failures: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slow_calls: Option<SlowCalls>,
    window: Window,
    minimum_calls: u32,
    #[serde(with = "duration")]
    open_for: Duration,
    #[serde(with = "duration::optional", skip_serializing_if = "Option::is_none")]
    open_for_at_most: Option<Duration>,
    probes: u32,
    close_after: u32,
    #[serde(with = "duration::optional", skip_serializing_if = "Option::is_none")]
    half_open_for: Option<Duration>,
    #[serde(with = "duration::optional", skip_serializing_if = "Option::is_none")]
    ramp: Option<Duration>,
    gate: bool,
    shadow: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "SlowCalls", deny_unknown_fields)]
struct SlowCallsMirror {
    #[serde(with = "duration")]
    longer_than: Duration,
    rate: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Window", rename_all = "snake_case")]
enum WindowMirror {
    Count(u32),
    Time(#[serde(with = "duration")] Duration),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "QueueOrder", rename_all = "snake_case")]
enum QueueOrderMirror {
    Fifo,
    Lifo,
    Adaptive,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "retry::Config", default = "retry::Config::default", deny_unknown_fields)]
struct RetryConfig {
    max_attempts: u32,
    backoff: Backoff,
    #[serde(with = "duration")]
    overload_base: Duration,
    #[serde(with = "duration")]
    min_attempt: Duration,
    budget: BudgetConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "hedge::Config", default = "hedge::Config::default", deny_unknown_fields)]
struct HedgeConfig {
    delay: Delay,
    #[serde(with = "duration")]
    window: Duration,
    budget: BudgetConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
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
#[serde(remote = "Delay", rename_all = "snake_case")]
enum DelayMirror {
    Fixed(#[serde(with = "duration")] Duration),
    Percentile(f64),
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
#[serde(remote = "Backoff", deny_unknown_fields)]
struct BackoffMirror {
    #[serde(with = "duration")]
    base: Duration,
    #[serde(with = "duration")]
    cap: Duration,
    #[serde(default)]
    jitter: Jitter,
    #[serde(default, with = "duration")]
    at_least: Duration,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Jitter", rename_all = "snake_case")]
enum JitterMirror {
    Full,
    Equal,
    Decorrelated,
    None,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "BudgetConfig", rename_all = "snake_case", deny_unknown_fields)]
enum BudgetMirror {
    Ratio {
        ratio: f64,
        #[serde(default = "ten_seconds", with = "duration")]
        per: Duration,
        #[serde(default = "ten")]
        at_least: u32,
    },
    InFlight {
        ratio: f64,
        #[serde(default = "three")]
        at_least: u32,
    },
    Tokens {
        max: u32,
        ratio: f64,
        #[serde(default = "one")]
        transient_cost: u32,
        #[serde(default = "one")]
        overload_cost: u32,
    },
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

fn ten() -> u32 {
    10
}

fn three() -> u32 {
    3
}

fn one() -> u32 {
    1
}

// Unlike a configuration it may have been written by another version, in the middle of a rolling
// deployment: what is unknown here is skipped.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Snapshot")]
struct SnapshotMirror {
    phase: Phase,
    #[serde(default, with = "duration")]
    since: Duration,
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    until: Option<Duration>,
    #[serde(default)]
    openings: u32,
    #[serde(default)]
    calls: u64,
    #[serde(default)]
    failed: u64,
    #[serde(default)]
    slow: u64,
    #[serde(default)]
    failure_rate: f64,
    #[serde(default)]
    slow_rate: f64,
    #[serde(default)]
    consecutive_failures: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_failure: Option<Class>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forced_because: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Phase", rename_all = "snake_case")]
enum PhaseMirror {
    Closed,
    Open,
    HalfOpen,
    ForcedOpen,
    Disabled,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Class", rename_all = "snake_case")]
enum ClassMirror {
    Success,
    Permanent,
    Transient,
    Overload {
        #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
        retry_after: Option<Duration>,
    },
    Ignore,
}

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

through! {
    TimeoutConfig for timeout::Config as "timeout";
    DeadlineConfig for timeout::DeadlineConfig as "deadline";
    PropagateDeadlineConfig for timeout::PropagateDeadlineConfig as "propagate_deadline";
    BulkheadConfig for bulkhead::Config as "bulkhead";
    AdaptiveLimitConfig for adaptive_limit::Config as "adaptive_limit";
    CircuitBreakerConfig for circuit_breaker::Config as "circuit_breaker";
    RetryConfig for retry::Config as "retry";
    HedgeConfig for hedge::Config as "hedge";
    ThrottleMirror for ThrottleConfig as "throttle";
    LoadShedConfig for load_shed::Config as "load_shed";
    QueueDelayMirror for QueueDelay as "";
    BackoffMirror for Backoff as "";
    SlowCallsMirror for SlowCalls as "";
    SnapshotMirror for Snapshot as "snapshot";
}

#[cfg(feature = "http")]
through! {
    BodyTimeoutMirror for BodyTimeoutConfig as "body_timeout";
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

enums! {
    WindowMirror for Window;
    DelayMirror for Delay;
    QueueOrderMirror for QueueOrder;
    JitterMirror for Jitter;
    BudgetMirror for BudgetConfig;
    HeaderFormatMirror for HeaderFormat;
    PhaseMirror for Phase;
    ClassMirror for Class;
}
