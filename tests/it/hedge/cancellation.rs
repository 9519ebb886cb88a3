//! Calls that are dropped, at every point, and attempts that panic.

use buttress::observe::EventKind;
use tokio::time::advance;

use super::*;
use crate::support::{call, panics, poll_once};

/// A rig whose budget shows what is in flight.
fn rig(second: Ask) -> Rig {
    let budget = Budget::in_flight(0.0001).at_least(2);
    Rig::with(Plan::second(second), |builder| builder.budget(budget))
}

#[track_caller]
fn assert_empty(rig: &Rig) {
    assert_eq!((rig.watch.replies(), rig.watch.alive()), (0, 1));
    assert_eq!(tokens(rig.layer.budget()), 2);
    rig.ledger.assert_settled();
}

#[tokio::test(start_paused = true)]
async fn dropped_at_every_point_a_call_leaves_nothing_behind() {
    let asks = [Ask::Hold, Ask::Pend(4), Ask::FailAfter(15 * MS, 7), Ask::After(25 * MS, 1)];
    let mut stages = std::collections::BTreeSet::new();
    for first in asks {
        for second in asks {
            for stalled in [false, true] {
                for polls in 0..8 {
                    let mut rig = rig(second);
                    let mut future = call(&mut rig.service, first);
                    if stalled {
                        rig.watch.stall();
                    }
                    for _ in 0..polls {
                        if poll_once(&mut future).is_ready() {
                            break;
                        }
                        advance(5 * MS).await;
                    }
                    stages.insert((rig.sent(), rig.watch.replies(), rig.watch.alive()));
                    drop(future);
                    assert_empty(&rig);
                    assert_eq!(rig.ledger.only().ended, 1);
                    rig.watch.unstall();
                    assert!(poll_once(&mut call(&mut rig.service, Ask::Answer(1))).is_ready());
                }
            }
        }
    }
    // Attempts sent, in flight, and instances alive: nothing sent twice yet, the second beside the
    // first, each alone, and none while the second gets ready.
    for stage in [(1, 1, 2), (2, 2, 1), (2, 1, 1), (1, 0, 2), (1, 0, 1), (2, 0, 1)] {
        assert!(stages.contains(&stage), "{stage:?} is not in {stages:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_either_attempt_unwinds_and_leaves_nothing_behind() {
    let cases = [
        (Ask::PanicInCall, Ask::Answer(2)),
        (Ask::PanicInPoll, Ask::Answer(2)),
        (Ask::Hold, Ask::PanicInCall),
        (Ask::Hold, Ask::PanicInPoll),
        (Ask::Fail(7), Ask::PanicInCall),
        (Ask::Fail(7), Ask::PanicInPoll),
        (Ask::Fail(HOPELESS), Ask::Answer(2)),
        (Ask::Hold, Ask::Fail(HOPELESS)),
        (Ask::Fail(7), Ask::Fail(HOPELESS)),
    ];
    for (first, second) in cases {
        let mut rig = rig(second);
        for _ in 0..3 {
            if first == Ask::Hold {
                let mut future = call(&mut rig.service, first);
                assert!(poll_once(&mut future).is_pending());
                advance(10 * MS).await;
                panics(move || drop(poll_once(&mut future)));
            } else {
                panics(|| drop(poll_once(&mut call(&mut rig.service, first))));
            }
            assert_empty(&rig);
        }
        let ended = rig.told().into_iter().filter(|kind| *kind == EventKind::Abandoned).count();
        assert_eq!(ended, 3, "{first:?}, {second:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_the_second_instance_gets_ready_leaves_nothing_behind() {
    let mut rig = rig(Ask::Answer(2));
    let mut future = call(&mut rig.service, Ask::Fail(7));
    rig.watch.panic_in_readiness();
    panics(move || drop(poll_once(&mut future)));
    assert_empty(&rig);
}
