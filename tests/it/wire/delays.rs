//! A wire on which the way there and back takes longer than an attempt may.

use std::time::Duration;

use super::clients::{self, ATTEMPT, TOTAL, Traffic};
use super::history::{Call, History, What, per_call};
use super::net::Protocol;
use super::play::{Fault, Play, every_seed};
use super::servers::Guard;

const BEGINS: Duration = Duration::from_millis(300);
const ENDS: Duration = Duration::from_millis(900);

/// Without a breaker or a bulkhead at the client: they would hide what the budget does.
fn run(seed: u64, protocol: Protocol) -> History {
    let mut play = Play::new(seed, 20);
    play.server("server", protocol, 2, Guard::Full(64, 64));
    play.server("naive-server", protocol, 2, Guard::Nothing);
    play.client(Traffic::gets("client", "server"), move |history, _| {
        clients::retrying(history, "client", protocol, 4, seed)
    });
    play.client(Traffic::gets("naive", "naive-server"), move |history, _| {
        clients::naive(history, "naive", protocol)
    });
    play.run(&[(BEGINS, Fault::Delay(60)), (ENDS, Fault::Delay(5))])
}

fn check(history: &History) {
    clients::assert_within_budget(history, "client");
    // The server saw them: nothing was lost on the way, and nothing came twice.
    let (sent, arrived) = (history.sent("client").len(), history.started("server").len());
    assert!(arrived > history.calls("client").len(), "no retry");
    assert!(arrived <= sent, "{arrived} arrived of {sent}");
    assert!(history.count(&What::Withheld { client: "client" }) > 0, "the budget was not used up");

    let (naive, arrived) = (history.calls("naive"), history.started("naive-server"));
    let naive = per_call(&naive, &arrived, BEGINS..ENDS - TOTAL);
    assert!(naive >= 3.5, "the naive client sends no storm: {naive}");
    // A connection of HTTP/2 that had been given up takes a moment to be replaced.
    let back = ENDS + 2 * ATTEMPT;
    let is_back = |call: &Call| call.began < back || call.is_good();
    assert!(history.calls("client").iter().all(is_back));
}

#[test]
fn delays_beyond_the_attempt_timeout_cost_no_more_attempts_than_the_budget_has() {
    every_seed(|seed| run(seed, Protocol::Http1), check);
}

#[test]
fn over_http2_delays_cost_no_more_attempts_than_the_budget_has() {
    every_seed(|seed| run(seed, Protocol::Http2), check);
}
