//! The name of a tonic service, passed through every layer's service.

use tonic::server::NamedService;

use crate::bulkhead::Bulkhead;
use crate::circuit_breaker::CircuitBreaker;
use crate::error::Lift;
use crate::http::{Holding, Respond};
use crate::observe::Observed;
use crate::timeout::Timeout;

/// tonic routes by this name. A service that hid it could not be added to a server.
macro_rules! pass_the_name_through {
    ($($service:ident<S $(, $parameter:ident)*>),* $(,)?) => {$(
        impl<S: NamedService $(, $parameter)*> NamedService for $service<S $(, $parameter)*> {
            const NAME: &'static str = S::NAME;
        }
    )*};
}

pass_the_name_through! {
    Bulkhead<S, M, P>,
    CircuitBreaker<S, C>,
    Holding<S>,
    Lift<S>,
    Observed<S, C>,
    Respond<S, R>,
    Timeout<S, D, P, M>,
}
