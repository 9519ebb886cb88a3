//! Further attempts: retries and hedges, their delays and their budget.

use std::time::Duration;

use ::serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hedge::{self, Delay};
use crate::retry::{self, Backoff, BudgetConfig, Jitter};
use crate::serde::duration;
use crate::serde::named::Named;

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
#[serde(remote = "Delay", rename_all = "snake_case")]
enum DelayMirror {
    Fixed(#[serde(with = "duration")] Duration),
    Percentile(f64),
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

through! {
    RetryConfig for retry::Config as "retry";
    HedgeConfig for hedge::Config as "hedge";
    BackoffMirror for Backoff as "";
}

enums! {
    DelayMirror for Delay;
    JitterMirror for Jitter;
    BudgetMirror for BudgetConfig;
}
