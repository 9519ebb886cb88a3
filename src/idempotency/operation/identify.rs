//! [`Operation`]: what a request is to the layer.

use std::borrow::Cow;
use std::fmt;

use crate::idempotency::identity::{self, Hasher};
use crate::idempotency::{Context, Fingerprint, KeyError, RecordKey, Scope};

/// Says of each request whether it is to run once only, and what makes it the same as another.
///
/// ```
/// use buttress::idempotency::{Context, Fingerprint, KeyError, OpIdentity, Operation, Scope};
///
/// struct Transfer { account: String, id: String, cents: u64, context: Option<Context> }
///
/// struct Transfers;
///
/// impl Operation<Transfer> for Transfers {
///     fn identify(&self, transfer: &Transfer) -> Result<Option<OpIdentity>, KeyError> {
///         Ok(Some(OpIdentity::new(
///             Scope::new(&transfer.account),
///             "transfer",
///             &transfer.id,
///             Fingerprint::of(transfer.cents.to_be_bytes()),
///         )))
///     }
///
///     fn attach(&self, transfer: &mut Transfer, context: Context) {
///         transfer.context = Some(context);
///     }
/// }
/// ```
///
/// Where no handler asks for its [`Context`], a closure
/// `|request: &Req| -> Result<Option<OpIdentity>, KeyError>` is one as well.
pub trait Operation<Req>: Send + Sync + 'static {
    /// The identity of the request; `None` if it is to run unprotected.
    ///
    /// # Errors
    ///
    /// The key makes no sense: the request is refused, and does not run.
    fn identify(&self, request: &Req) -> Result<Option<OpIdentity>, KeyError>;

    /// Hands the handler its view of the execution, in whatever part of the request it looks for
    /// it. Default: it gets none, and cannot say where its effects begin.
    fn attach(&self, request: &mut Req, context: Context) {
        let _ = (request, context);
    }
}

impl<Req, F> Operation<Req> for F
where
    F: Fn(&Req) -> Result<Option<OpIdentity>, KeyError> + Send + Sync + 'static,
{
    fn identify(&self, request: &Req) -> Result<Option<OpIdentity>, KeyError> {
        self(request)
    }
}

/// What makes a request the same as another: whose it is, what it does, and its key. And what it
/// asks for, which must not differ then.
///
/// Its `Debug` shows the operation and nothing else.
#[derive(Clone, PartialEq, Eq)]
pub struct OpIdentity {
    scope: Scope,
    op: Cow<'static, str>,
    key: Box<[u8]>,
    fingerprint: Fingerprint,
}

impl OpIdentity {
    /// A request of the principal `scope` for the operation `op` under `key`.
    ///
    /// The same key in another scope or for another operation is another record; with another
    /// `fingerprint` it is refused. Only hashes of all four get to the store. An empty scope and an
    /// empty key are refused: somebody has forgotten to fill them in.
    #[must_use]
    pub fn new(
        scope: Scope,
        op: impl Into<Cow<'static, str>>,
        key: impl AsRef<[u8]>,
        fingerprint: Fingerprint,
    ) -> Self {
        Self { scope, op: op.into(), key: key.as_ref().into(), fingerprint }
    }

    pub(super) fn has_no_scope(&self) -> bool {
        self.scope.is_empty()
    }

    pub(super) fn has_no_key(&self) -> bool {
        self.key.is_empty()
    }

    /// As for a request over HTTP, with no method, and the operation for the path.
    pub(super) fn record_key(&self, secret: Option<&[u8]>, namespace: &str) -> RecordKey {
        let operation = (&b""[..], self.op.as_bytes());
        let scope = self.scope.as_bytes();
        identity::record_key(secret, namespace.as_bytes(), scope, operation, &self.key)
    }

    /// The fingerprint, under the secret where there is one: what a request asks for may be short
    /// enough to be guessed.
    pub(super) fn fingerprint(&self, secret: Option<&[u8]>) -> Fingerprint {
        if secret.is_none() {
            return self.fingerprint;
        }
        let mut hasher = Hasher::new(FINGERPRINT_RECIPE, secret);
        hasher.part(self.fingerprint.as_bytes());
        Fingerprint::from_bytes(hasher.finish())
    }
}

const FINGERPRINT_RECIPE: &[u8] = b"idem/op-fp/v1\0";

impl fmt::Debug for OpIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpIdentity").field("op", &self.op).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idempotency::identity::hex;

    // Worked out with Python's hashlib and hmac over the recipes as they are written down.
    #[test]
    fn the_hashes_are_the_published_recipes() {
        let identity = OpIdentity::new(Scope::new("tenant"), "place", "k1", Fingerprint::of("tea"));
        let key = |secret| hex(identity.record_key(secret, "orders").as_bytes());
        assert_eq!(key(None), "f96c39d552c57dcdd9ff0b7164b0c56dd203c560c3050116c2e493231192bb29");
        assert_eq!(
            key(Some(b"secret")),
            "68ac656da157903eb83af71a5853da8b5ffa2b3d86b8b83604bd9eacf2f218ca"
        );
        assert_eq!(identity.fingerprint(None), Fingerprint::of("tea"));
        assert_eq!(
            hex(identity.fingerprint(Some(b"secret")).as_bytes()),
            "c65ceb5991a69cb5b6073289c169ac9e0a41c4c17cd107a37d1ddf09105b8fc1"
        );
    }
}
