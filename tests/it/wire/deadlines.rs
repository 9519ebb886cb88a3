//! Deadlines that pass on the way, and in the server's line.

use std::time::Duration;

use buttress::timeout::{FromRequest, PropagateDeadlineLayer, TimeoutLayer};
use tower::{ServiceBuilder, ServiceExt};

use super::clients::{Client, Traffic, transport};
use super::history::{History, What, by_id};
use super::net::Protocol;
use super::play::{Fault, Play, every_seed};
use super::servers::Guard;

/// The longest way that a packet has.
const WAY: u64 = 20;
const DEADLINE: Duration = Duration::from_millis(100);
/// Timers are never early, and at most so late.
const TICK: Duration = Duration::from_millis(1);

/// A client that says what time is left when the request arrives, and not when it leaves: which is
/// before it has a connection.
fn hurried(history: &History, client: &'static str, protocol: Protocol) -> Client {
    let margin = Duration::from_millis(2 * WAY);
    ServiceBuilder::new()
        .layer(TimeoutLayer::builder(DEADLINE).deadline(FromRequest).build())
        .layer(PropagateDeadlineLayer::builder().margin(margin).build())
        .service(transport(history, client, protocol))
        .boxed_clone()
}

/// Twice as much work as the servers can do; the naive server does not look at deadlines.
fn overload(seed: u64, protocol: Protocol) -> History {
    let mut play = Play::new(seed, WAY);
    play.server("server", protocol, 10, Guard::Full(2, 64));
    play.server("naive-server", protocol, 10, Guard::Bulkhead(2, 64));
    let every = Duration::from_micros(2500);
    for (name, server) in [("client", "server"), ("naive", "naive-server")] {
        let gets = Traffic::gets(name, server);
        let traffic = Traffic { every, calls: 200, deadline: DEADLINE, ..gets };
        play.client(traffic, move |history, _| hurried(history, name, protocol));
    }
    play.run(&[])
}

/// How much work began when its caller had given up.
fn late(history: &History, at: &str) -> usize {
    let late = history.all(|what| match what {
        What::Started { server, deadline, .. } if *server == at => Some(*deadline),
        _ => None,
    });
    late.iter().filter(|(began, deadline)| *began > *deadline + TICK).count()
}

fn nothing_begins_late(history: &History) {
    assert!(history.started("server").len() > 20);
    assert_eq!(late(history, "server"), 0);
    assert!(late(history, "naive-server") > 0, "no work in vain at the naive server");
    nothing_is_sent_late(history);
}

fn nothing_is_sent_late(history: &History) {
    let calls = history.calls("client");
    for (at, id) in history.sent("client") {
        let call = calls.iter().find(|call| call.id == id).unwrap();
        assert!(at < call.began + DEADLINE, "an attempt of {id} after its deadline");
    }
}

#[test]
fn with_a_margin_for_the_way_no_work_begins_after_its_callers_deadline() {
    every_seed(|seed| overload(seed, Protocol::Http1), nothing_begins_late);
}

#[test]
fn over_http2_no_work_begins_after_its_callers_deadline() {
    every_seed(|seed| overload(seed, Protocol::Http2), nothing_begins_late);
}

const HELD: Duration = Duration::from_millis(200);
const RELEASED: Duration = Duration::from_millis(500);

fn held(seed: u64, protocol: Protocol) -> History {
    let mut play = Play::new(seed, WAY);
    play.server("server", protocol, 10, Guard::Full(32, 64));
    let traffic = Traffic { calls: 70, deadline: DEADLINE, ..Traffic::gets("client", "server") };
    play.client(traffic, move |history, _| hurried(history, "client", protocol));
    play.run(&[(HELD, Fault::Hold), (RELEASED, Fault::Mend)])
}

fn nothing_held_takes_effect(history: &History) {
    let calls = history.calls("client");
    let gone = |began: Duration| (HELD..RELEASED - DEADLINE).contains(&began);
    let gone: Vec<_> = calls.iter().filter(|call| gone(call.began)).map(|call| call.id).collect();
    let effects = by_id(&history.effects("server"));
    assert!(gone.len() > 10 && gone.iter().all(|id| !effects.contains_key(id)));
    let after: Vec<_> = calls.iter().filter(|call| call.began > RELEASED).collect();
    assert!(after.len() > 10 && after.iter().all(|call| call.is_good()), "{after:?}");
    nothing_is_sent_late(history);
}

#[test]
fn requests_that_were_held_until_their_callers_had_left_take_no_effect() {
    every_seed(|seed| held(seed, Protocol::Http1), nothing_held_takes_effect);
    every_seed(|seed| held(seed, Protocol::Http2), nothing_held_takes_effect);
}
