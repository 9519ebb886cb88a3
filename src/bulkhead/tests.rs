//! How long a call waits in the line, by itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::advance;

use crate::admission::{self, Entry, Limiter, QueueLimit, Shares, Slots};
use crate::bulkhead::state::State;
use crate::deadline::Deadline;
use crate::observe::Identity;
use crate::rejected::Reason;
use crate::time;

const MS: Duration = Duration::from_millis(1);

fn full_state(max_wait: Option<Duration>) -> Arc<State> {
    let queue = QueueLimit { len: 9, ..QueueLimit::default() };
    let slots = Slots::new(1, queue, Shares::Alike, time::now);
    assert!(slots.try_acquire(0));
    let emitter = Identity::default().emitter("bulkhead", None);
    let full = Reason::BulkheadFull;
    Arc::new(State::new(Limiter { slots, emitter, max_wait, shadow: false, full }))
}

fn wait(state: &Arc<State>, deadline: Option<Duration>) -> admission::Place<State> {
    match admission::enter_or_wait(state, 0, || deadline.map(Deadline::after)) {
        Entry::Waiting(place) => place,
        Entry::Admitted(_) | Entry::Refused(_) => panic!("there is room in the line alone"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_at_max_wait_or_at_the_deadline_whichever_comes_first() {
    let start = time::now();
    let end = |max_wait, deadline| {
        let state = full_state(max_wait);
        let mut place = wait(&state, deadline);
        (place.until().map(|at| at - start), place.time_out(None).reason())
    };
    assert_eq!(end(Some(5 * MS), None), (Some(5 * MS), Reason::QueueTimedOut));
    assert_eq!(end(Some(5 * MS), Some(6 * MS)), (Some(5 * MS), Reason::QueueTimedOut));
    assert_eq!(end(Some(5 * MS), Some(4 * MS)), (Some(4 * MS), Reason::DeadlineExceeded));
    assert_eq!(end(None, Some(4 * MS)), (Some(4 * MS), Reason::DeadlineExceeded));
}

#[tokio::test(start_paused = true)]
async fn a_turn_at_the_deadline_comes_too_late_and_one_after_max_wait_does_not() {
    let state = full_state(Some(9 * MS));
    let [hurried, patient] = [Some(5 * MS), None].map(|deadline| wait(&state, deadline));
    advance(4 * MS).await;
    assert!(!hurried.is_late() && !patient.is_late());
    advance(MS).await;
    assert!(hurried.is_late(), "as everywhere: nothing is sent at the deadline");
    advance(5 * MS).await;
    assert!(hurried.is_late() && !patient.is_late());
}
