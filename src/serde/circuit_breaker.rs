//! The circuit breaker, and its snapshot.

use std::time::Duration;

use ::serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::circuit_breaker::{self, Phase, SlowCalls, Snapshot, Window};
use crate::classify::Class;
use crate::serde::duration;
use crate::serde::named::Named;

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

through! {
    CircuitBreakerConfig for circuit_breaker::Config as "circuit_breaker";
    SlowCallsMirror for SlowCalls as "";
    SnapshotMirror for Snapshot as "snapshot";
}

enums! {
    WindowMirror for Window;
    PhaseMirror for Phase;
    ClassMirror for Class;
}
