//! Time limits and deadlines.

use std::time::Duration;

use ::serde::{Deserialize, Deserializer, Serialize, Serializer};

#[cfg(feature = "http")]
use crate::http::BodyTimeoutConfig;
use crate::serde::duration;
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

through! {
    TimeoutConfig for timeout::Config as "timeout";
    DeadlineConfig for timeout::DeadlineConfig as "deadline";
    PropagateDeadlineConfig for timeout::PropagateDeadlineConfig as "propagate_deadline";
}

#[cfg(feature = "http")]
through! {
    BodyTimeoutMirror for BodyTimeoutConfig as "body_timeout";
}

enums! {
    HeaderFormatMirror for HeaderFormat;
}
