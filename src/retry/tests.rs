//! The decisions about one call, by themselves.

use std::time::Duration;

use crate::classify::Class;
use crate::deadline::Deadline;
use crate::error::BoxError;
use crate::observe::{EventKind, Identity};
use crate::policy::{Hint, Policy};
use crate::retry::session::Delays;
use crate::retry::state::Shared;
use crate::retry::{Backoff, Budget};
use crate::rng::Rng;
use crate::sync::Mutex;
use crate::time;

const MS: Duration = Duration::from_millis(1);

/// Says the same of every request.
struct Says {
    hint: Hint,
    deadline: Option<Deadline>,
}

impl Policy<(), (), BoxError> for Says {
    fn clone_request(&self, (): &()) -> Option<()> {
        Some(())
    }

    fn hint(&self, _: Result<&(), &BoxError>, _: Class) -> Hint {
        self.hint
    }

    fn deadline(&self, (): &()) -> Option<Deadline> {
        self.deadline
    }
}

/// The delay before the second attempt after a failure, if there is to be one.
fn delay(policy: Says, min_attempt: Duration, seed: u64) -> Option<Duration> {
    let backoff = Backoff::exponential(50 * MS, 20_000 * MS);
    let shared = Shared {
        policy,
        emitter: Identity::default().emitter("retry", None),
        budget: Budget::default(),
        max_attempts: 3,
        delays: Delays::from_backoff(backoff, 1_000 * MS),
        min_attempt,
        rng: Mutex::new(Rng::new(Some(seed))),
    };
    let mut session = None;
    let outcome: Result<(), BoxError> = Err("down".into());
    if !shared.goes_on(&mut session, Some(&()), outcome.as_ref(), Class::Transient) {
        return None;
    }
    match session.unwrap().send_attempt() {
        EventKind::Retried { attempt: 2, delay } => Some(delay),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn no_attempt_starts_at_its_deadline_or_with_too_little_time_left() {
    let goes_on = |nanos, min_attempt| {
        let deadline = Some(Deadline::at(time::now() + Duration::from_nanos(nanos)));
        delay(Says { hint: Hint::Exactly(10 * MS), deadline }, min_attempt, 1).is_some()
    };
    assert!(!goes_on(9_999_999, Duration::ZERO));
    assert!(!goes_on(10_000_000, Duration::ZERO), "at the deadline it is over");
    assert!(goes_on(10_000_001, Duration::ZERO));
    assert!(!goes_on(10_999_999, MS));
    assert!(goes_on(11_000_000, MS));
}

#[tokio::test(start_paused = true)]
async fn a_hint_is_kept_and_at_most_a_tenth_is_added() {
    for seed in 0..200 {
        let after = |hint| delay(Says { hint, deadline: None }, MS, seed).unwrap();
        assert_eq!(after(Hint::Exactly(7 * MS)), 7 * MS);
        for wait in [MS, 70 * MS, 30_000 * MS] {
            let delay = after(Hint::AtLeast(wait));
            assert!(wait <= delay && delay <= wait * 11 / 10, "{delay:?} for {wait:?}");
        }
        assert!(after(Hint::None) <= 50 * MS);
    }
}
