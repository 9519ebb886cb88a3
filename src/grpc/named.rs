//! The name of a tonic service, passed through every layer's service.

use tonic::server::NamedService;

use crate::adaptive_limit::AdaptiveLimit;
use crate::bulkhead::Bulkhead;
use crate::circuit_breaker::CircuitBreaker;
use crate::error::Lift;
use crate::hedge::Hedge;
use crate::http::{BodyTimeout, Holding, Respond};
use crate::idempotency::{Idempotency, Key};
use crate::load_shed::{LoadShed, Throttle};
use crate::observe::Observed;
use crate::retry::Retry;
use crate::timeout::{Deadlined, PropagateDeadline, Timeout};

/// tonic routes by this name. A service that hid it could not be added to a server.
macro_rules! pass_the_name_through {
    ($($service:ident<S $(, $parameter:ident)*>),* $(,)?) => {$(
        impl<S: NamedService $(, $parameter)*> NamedService for $service<S $(, $parameter)*> {
            const NAME: &'static str = S::NAME;
        }
    )*};
}

pass_the_name_through! {
    AdaptiveLimit<S, A, C, M, P>,
    BodyTimeout<S>,
    Bulkhead<S, M, P>,
    CircuitBreaker<S, C>,
    Deadlined<S>,
    Hedge<S, P>,
    Holding<S>,
    Idempotency<S, St>,
    Key<S>,
    Lift<S>,
    LoadShed<S, M>,
    Observed<S, C>,
    PropagateDeadline<S, D>,
    Respond<S, R>,
    Retry<S, P>,
    Throttle<S, C>,
    Timeout<S, D, P, M>,
}
