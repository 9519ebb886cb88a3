//! Servers that die and start again.

use std::time::Duration;

use buttress::circuit_breaker::Phase;

use super::clients::{self, OPEN_FOR, TOTAL, Traffic};
use super::history::{History, What, by_id, per_call};
use super::net::Protocol;
use super::play::{Fault, Play, every_seed};
use super::servers::Guard;

const DIES: Duration = Duration::from_millis(300);

/// Posts without a key, to a server whose machine refuses connections for a moment.
fn refused(seed: u64) -> History {
    let mut play = Play::new(seed, 10);
    play.server("server", Protocol::Http1, 40, Guard::Full(64, 64));
    play.server("naive-server", Protocol::Http1, 40, Guard::Nothing);
    let traffic = Traffic { calls: 100, ..Traffic::posts("client", "server") };
    play.client(traffic, move |history, _| {
        clients::retrying(history, "client", Protocol::Http1, 10, seed)
    });
    let traffic = Traffic { calls: 100, ..Traffic::posts("naive", "naive-server") };
    play.client(traffic, move |history, _| clients::naive(history, "naive", Protocol::Http1));
    play.run(&[(DIES, Fault::Refuse), (DIES + Duration::from_millis(60), Fault::Boot)])
}

#[test]
fn a_post_without_a_key_that_was_refused_a_connection_is_sent_again() {
    every_seed(refused, |history| {
        let calls = history.calls("client");
        let (sent, effects) = (by_id(&history.sent("client")), by_id(&history.effects("server")));
        assert!(effects.values().all(|effects| *effects == 1), "took effect twice");
        let again: Vec<_> = calls.iter().filter(|call| sent[&call.id] > 1).collect();
        let good = again.iter().filter(|call| call.is_good()).count();
        assert!(good > 2, "{good} were sent again and answered");
        assert!(calls.iter().filter(|c| c.is_good()).all(|c| effects[&c.id] == 1));
        // What was at work when the server died may have had its effect: not sent again.
        let cut = history.all(|what| match what {
            What::Dropped { server: "server", id } => Some(*id),
            _ => None,
        });
        assert!(!cut.is_empty(), "nothing was at work");
        assert!(cut.iter().all(|(_, id)| sent[id] == 1), "sent again after it had arrived");
        clients::assert_within_budget(history, "client");

        let naive = by_id(&history.effects("naive-server"));
        assert!(naive.values().any(|effects| *effects > 1), "the naive client does no harm");
    });
}

/// Posts without a key through the whole stack, to a machine that is dead for a while.
fn crash(seed: u64, protocol: Protocol) -> History {
    let mut play = Play::new(seed, 10);
    play.server("server", protocol, 20, Guard::Full(64, 64));
    play.server("naive-server", protocol, 20, Guard::Nothing);
    let calls = 220;
    let traffic = Traffic { calls, ..Traffic::posts("client", "server") };
    play.client(traffic, move |history, bulkheads| {
        clients::protected(history, bulkheads, "client", protocol, seed)
    });
    let traffic = Traffic { calls, ..Traffic::posts("naive", "naive-server") };
    play.client(traffic, move |history, _| clients::naive(history, "naive", protocol));
    play.run(&[(DIES, Fault::Crash), (BOOTS, Fault::Boot)])
}

const BOOTS: Duration = Duration::from_millis(800);
const BACK: Duration = BOOTS.saturating_add(OPEN_FOR).saturating_add(Duration::from_secs(1));

fn recovers(history: &History) {
    let calls = history.calls("client");
    let effects = by_id(&history.effects("server"));
    assert!(effects.values().all(|effects| *effects == 1), "took effect twice");
    let cut = history.all(|what| matches!(what, What::Dropped { .. }).then_some(()));
    assert!(!cut.is_empty(), "nothing was at work");

    let phases = history.phases("client");
    assert!(phases.iter().any(|(at, to)| *to == Phase::Open && (DIES..BOOTS).contains(at)));
    assert_eq!(phases.last().unwrap().1, Phase::Closed);
    let after: Vec<_> = calls.iter().filter(|call| call.began >= BACK).collect();
    assert!(after.len() > 10 && after.iter().all(|call| call.is_good()), "{after:?}");

    clients::assert_within_budget(history, "client");
    let naive = per_call(&history.calls("naive"), &history.sent("naive"), DIES..BOOTS - TOTAL);
    assert!(naive >= 3.0, "the naive client sends no storm: {naive}");
}

#[test]
fn a_server_that_crashed_and_came_back_is_served_again_and_no_post_takes_effect_twice() {
    every_seed(|seed| crash(seed, Protocol::Http1), recovers);
}

#[test]
fn over_http2_a_server_that_crashed_and_came_back_is_served_again() {
    every_seed(|seed| crash(seed, Protocol::Http2), recovers);
}
