//! What every [`Store`](crate::idempotency::Store) promises, as checks to run against yours.
//!
//! Each clause is a function that takes a [`Bench`] with a store and panics where the store breaks
//! it. [`store_contract!`](crate::store_contract) makes a test of each:
//!
//! ```
//! use buttress::idempotency::MemoryStore;
//! use buttress::sim::store_contract::Bench;
//!
//! async fn memory() -> Bench<MemoryStore> {
//!     Bench::new(MemoryStore::new())
//! }
//!
//! buttress::store_contract! {
//!     #[tokio::test(start_paused = true)]
//!     memory
//! }
//! # fn main() {}
//! ```
//!
//! A store with a clock of its own takes `#[tokio::test]`, in real time: most clauses use leases of
//! no length, and three wait for the [`pause`](Bench::pause).
//!
//! Beyond the clauses, [`agrees_with_the_model`] runs [operations at random](operations) and
//! compares each answer with that of a plain model.

mod begin;
mod bench;
mod expiry;
mod fencing;
mod model;
mod races;
mod random;

pub use begin::*;
pub use bench::Bench;
pub use expiry::*;
pub use fencing::*;
pub use races::*;
pub use random::{Operation, agrees_with_the_model, operations};

/// One test for each clause of the [store's contract](crate::sim::store_contract), in the scope
/// where it is called: give it the attributes of a test, and an `async fn` that makes a
/// [`Bench`](crate::sim::store_contract::Bench).
#[macro_export]
macro_rules! store_contract {
    ($(#[$attribute:meta])+ $make:path) => {
        $crate::store_contract! { @each [$(#[$attribute])+] $make:
            a_key_that_was_never_seen_is_acquired_as_the_first_attempt
            another_fingerprint_is_a_mismatch_in_every_state
            a_request_that_runs_is_in_progress_for_everybody_else
            a_completed_record_answers_with_its_outcome_to_the_byte
            a_tombstone_answers_without_a_payload
            an_indeterminate_record_stays_so
            a_repeated_begin_keeps_fence_attempt_and_effects
            a_repeated_begin_after_a_lapse_is_still_its_own
            a_lapsed_lease_is_taken_over_with_a_greater_fence
            a_takeover_of_begun_effects_is_indeterminate
            the_last_attempt_is_not_taken_over
            a_lease_that_ends_indeterminate_is_not_taken_over
            a_takeover_that_ends_indeterminate_lasts_for_the_retention
            a_completion_repeated_by_its_claim_is_applied
            a_completion_is_never_overwritten
            a_claim_that_was_taken_over_writes_nothing
            a_claim_with_another_owner_or_fence_writes_nothing
            a_lapsed_claim_that_nobody_took_over_still_completes
            a_released_key_is_new_whatever_the_request
            an_abandoned_claim_is_indeterminate_and_saying_so_again_is_applied
            an_ended_claim_can_neither_renew_nor_mark_nor_release
            effects_are_marked_once_and_for_all
            inspect_shows_each_state_and_no_more
            forget_deletes_in_every_state_and_the_claim_is_lost
            a_lease_lapses_by_itself_and_a_renewal_holds_it
            a_record_is_absent_once_its_retention_is_over
            an_expired_claim_is_lost_for_every_write
            a_renewal_keeps_the_record_at_least_as_long
            no_duration_is_too_long
            purging_removes_what_is_over_and_nothing_else
            of_32_that_begin_at_once_one_acquires
            of_32_that_take_over_at_once_one_acquires
            of_32_completions_of_one_claim_the_first_is_kept
            keys_do_not_touch_each_other
        }
    };
    (@each $attributes:tt $make:path: $($clause:ident)+) => {
        $($crate::store_contract! { @one $attributes $make: $clause })+
    };
    (@one [$($attribute:tt)+] $make:path: $clause:ident) => {
        $($attribute)+
        async fn $clause() {
            $crate::sim::store_contract::$clause(&$make().await).await;
        }
    };
}
