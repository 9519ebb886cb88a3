//! Keyed: whose state is whose, who is forgotten, and who is not.

mod closures;
mod eviction;
mod idle;
mod instances;
mod readiness;
mod reports;
#[cfg(feature = "serde")]
mod settings;
mod sharing;

use std::time::Duration;

use buttress::bulkhead::BulkheadLayer;
use buttress::circuit_breaker::{CircuitBreakerLayer, Phase};
use buttress::keyed::{Builder, ByRef, Handle, KeyedLayer, Overflow};
use buttress::{Reason, Rejectable};
use tower::util::MapRequest;
use tower::{Layer, Service, ServiceExt};

use crate::support::{Ask, Fault, Mock, Watch, call, poll_once, refusal};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A request: its key, and what the inner service is to do with it.
type Keyed = (&'static str, Ask);
type Inner = MapRequest<Mock, fn(Keyed) -> Ask>;
type Find = ByRef<fn(&Keyed) -> &str, str>;

fn key(request: &Keyed) -> &str {
    request.0
}

fn inner(mock: Mock) -> Inner {
    mock.map_request(|(_, ask): Keyed| ask)
}

fn builder<L, G: Fn(&str) -> L>(make: G) -> Builder<Find, G, String, L> {
    KeyedLayer::builder_by_ref(key as fn(&Keyed) -> &str, make)
}

fn mocked() -> (Inner, Watch) {
    let mock = Mock::new();
    let watch = mock.watch();
    (inner(mock), watch)
}

/// Opens after one failure, for a minute.
fn breaker(_: &str) -> CircuitBreakerLayer {
    CircuitBreakerLayer::builder().consecutive_failures(1).open_for(60 * SECOND).build()
}

fn bulkhead(_: &str) -> BulkheadLayer {
    BulkheadLayer::new(1)
}

fn phase(handle: &Handle<String, CircuitBreakerLayer>, key: &str) -> Option<Phase> {
    handle.get(key).map(|breaker| breaker.handle().phase())
}

fn sorted(handle: &Handle<String, impl Sized>) -> Vec<String> {
    let mut keys = handle.keys();
    keys.sort();
    keys
}

/// What the call came to.
async fn ask<S>(service: &mut S, key: &'static str, ask: Ask) -> Result<u32, Fault>
where
    S: Service<Keyed, Response = u32, Error = Fault>,
{
    call(service, (key, ask)).await
}
