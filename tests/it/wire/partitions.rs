//! Partitions: packets that are lost, and packets that are held back.

use std::time::Duration;

use buttress::circuit_breaker::Phase;

use super::clients::{self, ATTEMPT, OPEN_FOR, TOTAL, Traffic};
use super::history::{Call, History, What, per_call};
use super::net::Protocol;
use super::play::{Fault, Play, every_seed};
use super::servers::Guard;

const BEGINS: Duration = Duration::from_millis(300);
const ENDS: Duration = Duration::from_millis(900);
const BACK: Duration = ENDS.saturating_add(OPEN_FOR).saturating_add(Duration::from_secs(1));
/// Timers and packets are accurate to a millisecond each.
const TICK: Duration = Duration::from_millis(2);

fn run(seed: u64, protocol: Protocol, fault: Fault) -> History {
    let mut play = Play::new(seed, 20);
    play.server("server", protocol, 2, Guard::Full(32, 32));
    play.server("naive-server", protocol, 2, Guard::Nothing);
    let calls = 240;
    let traffic = Traffic { calls, ..Traffic::gets("client", "server") };
    play.client(traffic, move |history, bulkheads| {
        clients::protected(history, bulkheads, "client", protocol, seed)
    });
    let traffic = Traffic { calls, ..Traffic::gets("naive", "naive-server") };
    play.client(traffic, move |history, _| clients::naive(history, "naive", protocol));
    play.run(&[(BEGINS, fault), (ENDS, Fault::Mend)])
}

fn check(history: &History) {
    let calls = history.calls("client");
    assert!(calls.iter().all(|call| call.took <= TOTAL + TICK));
    assert!(history.count(&What::TimedOut { client: "client" }) > 0, "no attempt timed out");
    refuses_at_once_while_open(history);

    assert!(calls.iter().filter(|call| call.ended() < BEGINS).all(Call::is_good));
    let after: Vec<_> = calls.iter().filter(|call| call.began >= BACK).collect();
    assert!(after.len() > 20 && after.iter().all(|call| call.is_good()), "{after:?}");

    clients::assert_within_budget(history, "client");
    let naive = per_call(&history.calls("naive"), &history.sent("naive"), BEGINS..ENDS - TOTAL);
    assert!(naive >= 3.0, "the naive client sends no storm: {naive}");
}

fn refuses_at_once_while_open(history: &History) {
    let phases = history.phases("client");
    let (opened, _) = *phases.iter().find(|(_, to)| *to == Phase::Open).expect("it opens");
    assert!((BEGINS..ENDS).contains(&opened), "opened at {opened:?}");
    let (closed, last) = *phases.last().unwrap();
    assert_eq!(last, Phase::Closed);
    assert!(closed <= BACK, "closed at {closed:?}");

    let calls = history.calls("client");
    let refused: Vec<_> = calls.iter().filter(|call| call.is_refused_unsent()).collect();
    assert!(refused.iter().all(|call| call.took <= TICK), "refused, but not at once");
    let meanwhile = refused.iter().filter(|call| (opened..ENDS).contains(&call.began)).count();
    let open = calls.iter().filter(|call| (opened + TICK..ENDS).contains(&call.began)).count();
    assert!(2 * meanwhile > open, "{meanwhile} of {open} calls were spared the wait");
    assert!(ATTEMPT > 10 * TICK);
}

#[test]
fn when_packets_are_held_the_breaker_opens_and_after_it_heals_closes_again() {
    every_seed(|seed| run(seed, Protocol::Http1, Fault::Hold), check);
}

#[test]
fn when_packets_are_lost_the_breaker_opens_and_after_it_heals_closes_again() {
    every_seed(|seed| run(seed, Protocol::Http1, Fault::Partition), check);
}

#[test]
fn when_packets_are_held_from_one_http2_connection_it_is_the_same() {
    every_seed(|seed| run(seed, Protocol::Http2, Fault::Hold), check);
}

#[test]
fn when_packets_of_one_http2_connection_are_lost_it_is_the_same() {
    every_seed(|seed| run(seed, Protocol::Http2, Fault::Partition), check);
}
