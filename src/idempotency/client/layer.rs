//! [`KeyLayer`].

use std::fmt;
use std::sync::Arc;

use http::{HeaderName, Method};
use tower_layer::Layer;

use crate::idempotency::client::stamp::{Form, Stamp};
use crate::idempotency::client::{IdempotencyKey, Key};

/// Gives each `POST` and `PATCH` that a client sends an idempotency key.
///
/// The key is a fresh random UUID (RFC 9562, version 4), drawn from the operating system and
/// written as a string of RFC 8941: `Idempotency-Key: "5f0c…"`. Whoever has a key already keeps it:
///
/// - a request with the header is left as it is, whatever the header says;
/// - a request with an [`IdempotencyKey`] in its extensions gets that one, whatever its method is.
///
/// The key belongs to the request. Neither the layer nor the service keeps one, so that clones and
/// connections share none.
///
/// # Where it belongs
///
/// Outside the retry: all attempts have one key then. Inside it, each attempt would be a new
/// operation, unless the retry's policy is this module's [`RetryPolicy`](super::RetryPolicy), which
/// has set the key before the first attempt: with it both orders are right. A hedge is as a retry.
/// tonic runs an interceptor once per attempt, so set the key here and not there.
///
/// Following redirects: 307 and 308 ask for the same request elsewhere, and keep the key. 303 asks
/// for the result with a `GET`, which needs none: drop it.
///
/// # What survives what
///
/// The key lasts as long as the call. A job that is to survive a restart writes its key down
/// together with the job, before the first attempt, and puts it into the request's extensions
/// every time. And it gives up before the server forgets the key, which is 24 hours after the first
/// outcome by default: a later attempt is a new operation.
///
/// ```
/// use axum::body::Body;
/// use buttress::http::ReplayBody;
/// use buttress::idempotency::{KeyLayer, RetryPolicy};
/// use buttress::{LiftLayer, retry::RetryLayer};
/// use hyper_util::{client::legacy::Client, rt::TokioExecutor};
/// use tower::ServiceBuilder;
///
/// let orders = ServiceBuilder::new()
///     .layer(KeyLayer::new())
///     .map_request(ReplayBody::<Body>::wrap)
///     .layer(RetryLayer::new(RetryPolicy::default()))
///     .layer(LiftLayer)
///     .service(Client::builder(TokioExecutor::new()).build_http::<ReplayBody<Body>>());
/// # let _ = orders;
/// ```
///
/// Nothing is allocated but what the header takes.
///
/// # Readiness, cancellation, errors
///
/// Those of the service inside, whose future and error it passes on.
#[derive(Clone, Default)]
#[must_use]
pub struct KeyLayer {
    stamp: Arc<Stamp>,
}

impl KeyLayer {
    /// Keys for `POST` and `PATCH`, in `Idempotency-Key`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives requests of these methods a key. Default: `POST` and `PATCH`.
    pub fn methods(self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.set(|stamp| stamp.methods = methods.into_iter().collect())
    }

    /// Writes the key without quotes, for servers that take no RFC 8941 string. A server that takes
    /// both forms, as [`KeySyntax::Lenient`](super::super::KeySyntax) does, takes them for the same
    /// key. Default: quoted.
    pub fn bare(self) -> Self {
        self.set(|stamp| stamp.form = Form::Bare)
    }

    /// Writes the key into this header. Default: `idempotency-key`.
    ///
    /// # Panics
    ///
    /// If it is no name that HTTP allows.
    #[track_caller]
    pub fn header<N>(self, name: N) -> Self
    where
        N: TryInto<HeaderName>,
        N::Error: fmt::Debug,
    {
        let name = name.try_into().expect("the name of a header");
        self.set(|stamp| stamp.header = name)
    }

    /// Takes the keys from here: ids of your own, or a sequence in a test. Each must be like no
    /// other, in this process and in every other with the same credentials. Default: random UUIDs.
    ///
    /// # Panics
    ///
    /// The call of a request, if what comes is no [`IdempotencyKey`]. The message does not show it.
    pub fn generator<F, T>(self, generator: F) -> Self
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: ToString,
    {
        let valid = move || {
            IdempotencyKey::new(generator().to_string())
                .expect("a generator makes idempotency keys")
        };
        self.set(|stamp| stamp.generator = Some(Arc::new(valid)))
    }

    pub(super) fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    fn set(mut self, change: impl FnOnce(&mut Stamp)) -> Self {
        change(Arc::make_mut(&mut self.stamp));
        self
    }
}

impl<S> Layer<S> for KeyLayer {
    type Service = Key<S>;

    fn layer(&self, inner: S) -> Key<S> {
        Key::new(inner, self.stamp.clone())
    }
}

impl fmt::Debug for KeyLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyLayer").field(&self.stamp).finish()
    }
}
