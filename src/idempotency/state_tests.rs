//! Each row of the table of [`Store::begin`](super::Store::begin), and each write by a claim that
//! holds, that has lost, and that repeats itself.

use std::time::Duration;

use crate::idempotency::state::Record;
use crate::idempotency::store::{
    Abandon, Begin, BeginRequest, Fenced, LeaseExpiry, RecordState, StoredOutcome,
};
use crate::idempotency::{Claim, Fence, Fingerprint, OwnerId, RecordKey};
use crate::time::{self, Instant};

const LEASE: Duration = Duration::from_secs(60);
const RETENTION: Duration = Duration::from_secs(3_600);
const NS: Duration = Duration::from_nanos(1);
const KEY: RecordKey = RecordKey::from_bytes([1; 32]);

fn request(owner: u128) -> BeginRequest {
    let fingerprint = Fingerprint::from_bytes([2; 32]);
    BeginRequest::new(KEY, fingerprint, OwnerId::new(owner), LEASE, RETENTION)
}

fn claim(owner: u128, fence: u64, attempt: u32) -> Claim {
    Claim::new(KEY, OwnerId::new(owner), Fence::new(fence), attempt)
}

fn outcome() -> StoredOutcome {
    StoredOutcome::new(201, "created")
}

/// No claim but the first and a takeover asks for a fence.
fn none() -> Fence {
    panic!("a fence for what is no new claim")
}

/// In flight, held by owner 1 with fence 7.
fn in_flight() -> (Record, Claim, Instant) {
    let now = time::now();
    let (record, begin) = Record::first(&request(1), now, Fence::new(7));
    assert_eq!(begin, Begin::Acquired(claim(1, 7, 1)));
    (record, claim(1, 7, 1), now)
}

fn completed() -> (Record, Claim, Instant) {
    let (mut record, claim, now) = in_flight();
    assert_eq!(record.complete(&claim, outcome(), RETENTION, now), Fenced::Applied);
    (record, claim, now)
}

fn indeterminate() -> (Record, Claim, Instant) {
    let (mut record, claim, now) = in_flight();
    assert_eq!(record.abandon(&claim, Abandon::Indeterminate), Fenced::Applied);
    (record, claim, now)
}

/// Everything a holder can do, by a claim that is none: nothing happens.
#[track_caller]
fn writes_nothing(record: &mut Record, stale: &Claim, now: Instant) {
    let before = record.snapshot(now);
    assert_eq!(record.renew(stale, LEASE * 9, now), Fenced::Lost);
    assert_eq!(record.mark_effects(stale), Fenced::Lost);
    assert_eq!(record.complete(stale, StoredOutcome::tombstone(9), LEASE, now), Fenced::Lost);
    assert_eq!(record.abandon(stale, Abandon::Release), Fenced::Lost);
    assert_eq!(record.abandon(stale, Abandon::Indeterminate), Fenced::Lost);
    assert_eq!(record.snapshot(now), before);
}

#[test]
fn the_first_claim_is_attempt_1_with_a_lease_and_a_retention() {
    let (record, _, now) = in_flight();
    let snapshot = record.snapshot(now);
    assert_eq!(snapshot.state, RecordState::InFlight);
    assert_eq!((snapshot.attempt, snapshot.fence, snapshot.effects), (1, Fence::new(7), false));
    assert_eq!(snapshot.lease_remaining, Some(LEASE));
    assert_eq!(snapshot.expires_in, RETENTION);
    assert_eq!((snapshot.payload_len, snapshot.tag), (0, None));
}

#[test]
fn a_record_expires_to_the_instant() {
    let (record, _, now) = in_flight();
    assert!(!record.is_expired(now + RETENTION - NS));
    assert!(record.is_expired(now + RETENTION));
}

#[test]
fn a_retention_shorter_than_the_lease_lasts_as_long_as_that() {
    let now = time::now();
    let mut request = request(1);
    request.retention = LEASE / 2;
    let (record, _) = Record::first(&request, now, Fence::new(1));
    assert_eq!(record.expires_at(), now + LEASE);
}

#[test]
fn another_fingerprint_is_a_mismatch_whatever_the_state() {
    for (mut record, _, now) in [in_flight(), completed(), indeterminate()] {
        // The owner's own too, and with the lease gone.
        for owner in [1, 2] {
            let mut other = request(owner);
            other.fingerprint = Fingerprint::from_bytes([3; 32]);
            let before = record.snapshot(now + LEASE);
            assert_eq!(record.begin(&other, now + LEASE, none), Begin::Mismatch);
            assert_eq!(record.snapshot(now + LEASE), before);
        }
    }
}

#[test]
fn what_has_ended_answers_with_its_outcome_to_everybody() {
    let (mut record, _, now) = completed();
    for owner in [1, 2] {
        assert_eq!(record.begin(&request(owner), now, none), Begin::Completed(outcome()));
    }
    assert_eq!(record.demote(), 7, "the length of the answer");
    let tombstone = StoredOutcome::tombstone(201);
    assert_eq!(record.begin(&request(2), now, none), Begin::Completed(tombstone));
    let snapshot = record.snapshot(now);
    assert_eq!((snapshot.state, snapshot.tag), (RecordState::Tombstone, Some(201)));
    assert_eq!((snapshot.payload_len, record.demote()), (0, 0));
}

#[test]
fn an_indeterminate_record_answers_so_to_everybody() {
    let (mut record, _, now) = indeterminate();
    for owner in [1, 2] {
        assert_eq!(record.begin(&request(owner), now + LEASE * 2, none), Begin::Indeterminate);
    }
    let snapshot = record.snapshot(now);
    assert_eq!((snapshot.state, snapshot.lease_remaining), (RecordState::Indeterminate, None));
}

#[test]
fn a_repeated_begin_keeps_its_fence_and_its_mark_and_gets_a_new_lease() {
    // In time, and also after the lease is over, where nobody has taken over.
    for wait in [LEASE / 2, LEASE * 2] {
        let (mut record, claim, now) = in_flight();
        assert_eq!(record.mark_effects(&claim), Fenced::Applied);
        let again = now + wait;
        assert_eq!(record.begin(&request(1), again, none), Begin::Acquired(claim));
        let snapshot = record.snapshot(again);
        assert!(snapshot.effects);
        assert_eq!(snapshot.lease_remaining, Some(LEASE));
        assert_eq!(snapshot.expires_in, RETENTION);
    }
}

#[test]
fn who_comes_while_the_lease_runs_is_told_for_how_long() {
    let (mut record, _, now) = in_flight();
    let begin = record.begin(&request(2), now + LEASE - NS, none);
    assert_eq!(begin, Begin::InProgress { lease_remaining: NS, attempt: 1 });
}

#[test]
fn who_comes_at_the_end_of_the_lease_takes_over() {
    let (mut record, first, now) = in_flight();
    let over = now + LEASE;
    assert!(record.is_leased(over - NS) && !record.is_leased(over));
    let begin = record.begin(&request(2), over, || Fence::new(8));
    assert_eq!(begin, Begin::Acquired(claim(2, 8, 2)));
    assert!(record.is_held_by(&claim(2, 8, 2)) && !record.is_held_by(&first));
    assert_eq!(record.snapshot(over).lease_remaining, Some(LEASE));
    assert_eq!(record.expires_at(), over + RETENTION);
    writes_nothing(&mut record, &first, over);
    // Neither half of a claim is enough.
    writes_nothing(&mut record, &claim(2, 7, 2), over);
    writes_nothing(&mut record, &claim(1, 8, 2), over);
}

#[test]
fn nobody_takes_over_once_effects_have_begun() {
    let (mut record, first, now) = in_flight();
    assert_eq!(record.mark_effects(&first), Fenced::Applied);
    assert_eq!(record.mark_effects(&first), Fenced::Applied, "repeated");
    let begin = record.begin(&request(2), now + LEASE, none);
    assert_eq!(begin, Begin::Indeterminate);
    assert_eq!(record.expires_at(), now + LEASE + RETENTION);
    writes_nothing_but_its_end(&mut record, &first, now + LEASE);
}

/// The claim that a record was taken from when it became indeterminate may say so itself as well.
#[track_caller]
fn writes_nothing_but_its_end(record: &mut Record, last: &Claim, now: Instant) {
    let before = record.snapshot(now);
    assert_eq!(record.renew(last, LEASE, now), Fenced::Lost);
    assert_eq!(record.mark_effects(last), Fenced::Lost);
    assert_eq!(record.complete(last, outcome(), LEASE, now), Fenced::Lost);
    assert_eq!(record.abandon(last, Abandon::Release), Fenced::Lost);
    assert_eq!(record.abandon(last, Abandon::Indeterminate), Fenced::Applied);
    assert_eq!(record.snapshot(now), before);
}

#[test]
fn nobody_takes_over_where_the_lease_is_all_there_is() {
    let (mut record, _, now) = in_flight();
    let mut second = request(2);
    second.on_lease_expiry = LeaseExpiry::Indeterminate;
    assert_eq!(record.begin(&second, now + LEASE, none), Begin::Indeterminate);
}

#[test]
fn nobody_takes_over_once_the_attempts_are_used_up() {
    let (mut record, _, now) = in_flight();
    let begin = |record: &mut Record, owner: u128| {
        let mut request = request(owner);
        request.max_attempts = 2;
        record.begin(&request, now + LEASE * u32::try_from(owner).unwrap(), || Fence::new(8))
    };
    assert_eq!(begin(&mut record, 2), Begin::Acquired(claim(2, 8, 2)));
    assert_eq!(begin(&mut record, 3), Begin::Indeterminate);
}

#[test]
fn a_renewal_starts_the_lease_anew_and_never_shortens_the_retention() {
    let (mut record, claim, now) = in_flight();
    let later = now + LEASE / 2;
    assert_eq!(record.renew(&claim, LEASE, later), Fenced::Applied);
    assert_eq!(record.snapshot(later).lease_remaining, Some(LEASE));
    assert_eq!(record.expires_at(), now + RETENTION);
    assert_eq!(record.renew(&claim, RETENTION, later), Fenced::Applied);
    assert_eq!(record.expires_at(), later + RETENTION, "longer than the retention");
}

#[test]
fn a_lease_that_is_over_can_be_renewed_where_nobody_has_taken_over() {
    let (mut record, claim, now) = in_flight();
    assert_eq!(record.renew(&claim, LEASE, now + LEASE * 2), Fenced::Applied);
    assert!(record.is_leased(now + LEASE * 2));
}

#[test]
fn a_completion_keeps_the_outcome_for_the_retention_from_then() {
    let (mut record, claim, now) = in_flight();
    let later = now + LEASE;
    assert_eq!(record.complete(&claim, outcome(), LEASE * 3, later), Fenced::Applied);
    assert_eq!(record.expires_at(), later + LEASE * 3, "also where that is sooner");
    let snapshot = record.snapshot(later);
    assert_eq!((snapshot.state, snapshot.lease_remaining), (RecordState::Completed, None));
    assert_eq!((snapshot.payload_len, snapshot.tag), (7, Some(201)));
}

#[test]
fn a_repeated_completion_counts_and_changes_nothing() {
    let (mut record, claim, now) = completed();
    let other = StoredOutcome::new(500, "no");
    assert_eq!(record.complete(&claim, other, LEASE, now + LEASE), Fenced::Applied);
    assert_eq!(record.begin(&request(2), now, none), Begin::Completed(outcome()));
    assert_eq!(record.expires_at(), now + RETENTION);
}

#[test]
fn what_has_ended_ends_once() {
    let (mut record, last, now) = completed();
    let before = record.snapshot(now);
    assert_eq!(record.renew(&last, LEASE, now), Fenced::Lost);
    assert_eq!(record.mark_effects(&last), Fenced::Lost);
    assert_eq!(record.abandon(&last, Abandon::Release), Fenced::Lost);
    assert_eq!(record.abandon(&last, Abandon::Indeterminate), Fenced::Lost);
    assert_eq!(record.snapshot(now), before);
    writes_nothing(&mut record, &claim(2, 8, 2), now);
}

#[test]
fn a_claim_that_is_given_up_indeterminate_may_say_so_again() {
    let (mut record, last, now) = indeterminate();
    writes_nothing_but_its_end(&mut record, &last, now);
    writes_nothing(&mut record, &claim(2, 8, 2), now);
}

#[test]
fn a_claim_that_releases_leaves_the_rest_to_the_store() {
    let (mut record, claim, _) = in_flight();
    assert_eq!(record.abandon(&claim, Abandon::Release), Fenced::Applied);
}
