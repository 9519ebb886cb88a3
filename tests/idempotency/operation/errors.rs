//! `OperationError`: what it says, and what other layers make of it.

use std::error::Error as _;
use std::time::Duration;

use buttress::idempotency::{KeyError, OperationError, StoreError};
use buttress::{Error, IntoRejected, Reason, Rejectable};

use super::Failure;

type Refused = OperationError<Failure>;

fn every() -> Vec<(Refused, Reason, bool)> {
    vec![
        (Refused::KeyMissing, Reason::KeyMissing, false),
        (Refused::KeyInvalid(KeyError::Malformed), Reason::KeyInvalid, false),
        (Refused::ScopeMissing, Reason::ScopeMissing, false),
        (Refused::InProgress { retry_after: Duration::from_secs(7) }, Reason::InProgress, true),
        (Refused::FingerprintMismatch, Reason::FingerprintMismatch, false),
        (Refused::OutcomeUnknown, Reason::OutcomeUnknown, true),
        (Refused::ResultUnavailable { tag: 0 }, Reason::ResultUnavailable, true),
        (Refused::Overloaded, Reason::Overloaded, false),
        (Refused::Store(StoreError::Full), Reason::StoreFull, false),
        (Refused::Store(StoreError::UnsupportedFormat(9)), Reason::StoreUnavailable, false),
        (Refused::Store(StoreError::Unavailable("reset".into())), Reason::StoreUnavailable, false),
    ]
}

#[test]
fn each_refusal_has_the_reason_that_all_layers_know() {
    for (error, reason, dispatched) in every() {
        let said = error.to_string();
        let refusal = error.rejected().unwrap_or_else(|| panic!("{said}"));
        assert_eq!((refusal.reason(), refusal.was_dispatched()), (reason, dispatched), "{said}");
        assert!(!said.is_empty());
        assert_eq!(error.into_rejected(), Ok(refusal));
    }
    let waits = Refused::InProgress { retry_after: Duration::from_secs(7) }.rejected().unwrap();
    assert_eq!(waits.retry_after(), Some(Duration::from_secs(7)));
}

#[test]
fn the_services_own_error_is_no_refusal() {
    let own = || Refused::Inner(Failure::Busy);
    assert_eq!(own().rejected(), None);
    assert_eq!(own().into_rejected(), Err(Failure::Busy));
    assert_eq!(own().to_string(), Failure::Busy.to_string());
    assert_eq!(own().source().unwrap().downcast_ref(), Some(&Failure::Busy));
}

#[test]
fn it_becomes_the_error_of_the_other_layers() {
    assert_eq!(Error::from(Refused::Inner(Failure::Busy)), Error::Service(Failure::Busy));
    let refused = Error::from(Refused::OutcomeUnknown);
    assert_eq!(refused.rejected().unwrap().reason(), Reason::OutcomeUnknown);
}
