//! After a lost claim: the one answer for everybody.

use std::sync::Arc;

use crate::idempotency::OwnerId;
use crate::idempotency::execution::Kept;
use crate::idempotency::execution::engine::Refusal;
use crate::idempotency::execution::held::{Held, Marks};
use crate::idempotency::execution::run::of;
use crate::idempotency::store::{Begin, BeginRequest, Fenced, Store, StoredOutcome};
use crate::observe::IdempotencyResult;
use crate::rejected::Reason;

impl<St: Store> Held<St> {
    /// Asks as anybody would, and so gets what anybody gets. If nobody holds the key any more, the
    /// outcome becomes the answer after all.
    pub(super) async fn canonical(&self, mut outcome: StoredOutcome) -> Kept {
        let engine = &self.engine;
        // A new owner: the old one would get the claim that it has lost, if that is the last.
        let request = BeginRequest { owner: OwnerId::random(), ..self.request.clone() };
        let reason = match engine.begin(&request).await {
            Ok(Begin::Completed(kept)) if kept.payload.is_some() => return Kept::Canonical(kept),
            Ok(Begin::Completed(kept)) => {
                let refusal = Refusal::new(Reason::ResultUnavailable);
                return Kept::Refused(Refusal { tag: Some(kept.tag), ..refusal });
            }
            Ok(Begin::Acquired(claim)) => {
                let anew = Held { engine: engine.clone(), request, claim, marks: Marks::default() };
                match anew.complete(&mut outcome).await {
                    Ok(Fenced::Applied) => {
                        engine.note(of(&outcome));
                        return Kept::Own;
                    }
                    Ok(Fenced::Lost) => Reason::OutcomeUnknown,
                    // Nobody else can answer for this key now.
                    Err(_) => {
                        engine.note(IdempotencyResult::StoreError);
                        Arc::new(anew).complete_later(outcome);
                        return Kept::Own;
                    }
                }
            }
            Ok(Begin::InProgress { .. }) => Reason::InProgress,
            // The other has ended, and the key was used for another request since: this one ran,
            // and there is no record of it.
            Ok(Begin::Indeterminate | Begin::Mismatch) => Reason::OutcomeUnknown,
            // The next attempt gets the answer.
            Err(_) => Reason::StoreUnavailable,
        };
        Kept::Refused(Refusal { dispatched: true, ..engine.refusal(reason) })
    }
}
