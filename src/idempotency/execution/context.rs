//! [`Context`]: what the handler knows about its execution, and can say about it.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt::{self, Write};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::idempotency::execution::held::Grip;
use crate::idempotency::identity::{Hasher, STEP_RECIPE};
use crate::idempotency::store::{Fenced, StoreError};
use crate::idempotency::{Claim, Fence};

/// A handler's view of its protected execution: in the extensions of its request. Cheap to clone.
///
/// A handler that asks for nothing is run again after a failure, and after a crash. One whose
/// effects must not happen twice says where they begin:
///
/// ```no_run
/// # use buttress::idempotency::{Context, ContextError};
/// # async fn charge(key: String) {}
/// # async fn handler(context: Context) -> Result<(), ContextError> {
/// // Before this line a failure is released, and the next attempt runs.
/// context.begin_effects().await?;
/// // After it no attempt runs again: if this one fails, the outcome is unknown.
/// charge(context.downstream_key("charge")).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Context {
    grip: Arc<dyn Grip>,
    /// What the layer wants to find here again, when the handler does a part of its work.
    layer: Option<Arc<dyn Any + Send + Sync>>,
}

impl Context {
    pub(super) fn new(grip: Arc<dyn Grip>) -> Self {
        Self { grip, layer: None }
    }

    #[allow(dead_code, reason = "of the layer for HTTP")]
    pub(crate) fn with<T: Send + Sync + 'static>(mut self, layer: Arc<T>) -> Self {
        self.layer = Some(layer);
        self
    }

    /// 1 for the first execution under this key; more for one that runs in place of others whose
    /// leases had lapsed, and which may have had effects.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.grip.claim().attempt
    }

    /// Whether an earlier execution was given up for dead: what it did is to be found out before
    /// doing it again.
    #[must_use]
    pub fn is_takeover(&self) -> bool {
        self.attempt() > 1
    }

    /// The number of this claim, greater than that of any before it: for resources that can refuse
    /// a holder whose lease has lapsed.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.grip.claim().fence
    }

    /// Says that effects begin: whatever happens from here on, no further execution runs under
    /// this key until the retention is over. A failure leaves the outcome unknown.
    ///
    /// One write to the store, which also makes sure that the claim still holds.
    ///
    /// # Errors
    ///
    /// [`ContextError::Lost`] where somebody else has taken over, [`ContextError::Store`] where the
    /// store does not answer. Either way the handler must not go on.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its end, the mark may have been set or not.
    pub async fn begin_effects(&self) -> Result<(), ContextError> {
        let fenced = self.grip.mark_effects().await;
        self.held(fenced)?;
        self.grip.marks().effects_began();
        Ok(())
    }

    /// Makes sure that the claim still holds, by a write to the store that also extends the lease.
    ///
    /// # Errors
    ///
    /// As [`begin_effects`](Self::begin_effects).
    pub async fn check(&self) -> Result<(), ContextError> {
        let fenced = self.grip.renew().await;
        self.held(fenced)
    }

    /// Cancelled once the claim is known to be lost: another execution has taken over, or this one
    /// has run for longer than `max_execution`. For handlers that can stop.
    #[must_use]
    pub fn lost(&self) -> CancellationToken {
        self.grip.marks().lost.clone()
    }

    /// An idempotency key for a call that this handler makes: the same for each execution under
    /// the same key, and different for each `step`. 64 hexadecimal digits.
    #[must_use]
    pub fn downstream_key(&self, step: &str) -> String {
        let mut hasher = Hasher::new(STEP_RECIPE, None);
        hasher.part(self.grip.claim().key.as_bytes()).part(step.as_bytes());
        let mut text = String::with_capacity(64);
        for byte in hasher.finish() {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// What [`with`](Self::with) was given.
    #[allow(dead_code, reason = "of the stores that have transactions")]
    pub(crate) fn of_layer<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.layer.clone()?.downcast().ok()
    }

    /// A write of the outcome by the handler, in a transaction of its own, which ends after it.
    #[allow(dead_code, reason = "of the stores that have transactions")]
    pub(crate) async fn recorded(
        &self,
        write: impl AsyncFnOnce(&Claim) -> Result<Fenced, StoreError>,
    ) -> Result<(), ContextError> {
        // Before: it locks the record, and a renewal would only wait for the lock.
        self.grip.marks().recording_began();
        let fenced = write(self.grip.claim()).await;
        self.held(fenced)
    }

    fn held(&self, fenced: Result<Fenced, StoreError>) -> Result<(), ContextError> {
        match fenced {
            Ok(Fenced::Applied) => Ok(()),
            Ok(Fenced::Lost) => {
                self.grip.marks().lost.cancel();
                Err(ContextError::Lost)
            }
            Err(error) => Err(ContextError::Store(error)),
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let claim = self.grip.claim();
        write!(f, "Context({:?}, attempt {}, fence {})", claim.key, claim.attempt, claim.fence)
    }
}

/// Why a handler must not go on.
#[derive(Debug)]
#[non_exhaustive]
pub enum ContextError {
    /// The claim is lost: another execution runs, or has ended.
    Lost,
    /// The store does not answer, so that nobody knows whether the claim holds.
    Store(StoreError),
}

impl fmt::Display for ContextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost => f.write_str("another execution has taken over"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl StdError for ContextError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Lost => None,
            Self::Store(error) => Some(error),
        }
    }
}
