//! Partitions: packets that are lost, and packets that are held back.

use std::time::Duration;

use buttress::Reason;
use buttress::circuit_breaker::Phase;

use super::clients::{self, ATTEMPT, FLOOR, OPEN_FOR, RATIO, TOTAL, Traffic};
use super::history::History;
use super::net::Protocol;
use super::play::{Fault, Play, every_seed};

const BEGINS: u64 = 500;
const ENDS: u64 = 1000;

fn run(seed: u64, protocol: Protocol, fault: Fault) -> History {
    let mut play = Play::new(seed, 20);
    play.server("server", protocol, 2, Some((32, 32)));
    play.server("naive-server", protocol, 2, None);
    let history = &play.history.clone();
    let client = clients::protected(history, &play.bulkheads, "client", protocol, seed);
    let naive = clients::naive(history, "naive", protocol);
    let calls = 250;
    let traffic = Traffic { calls, ..Traffic::gets("client", "server") };
    play.client("client", "server", traffic.send(history.clone(), client));
    let traffic = Traffic { calls, ..Traffic::gets("naive", "naive-server") };
    play.client("naive", "naive-server", traffic.send(history.clone(), naive));
    play.run(&[(BEGINS, fault), (ENDS, Fault::Mend)])
}

#[test]
fn probe() {
    every_seed(|seed| run(seed, Protocol::Http1, Fault::Hold), |_| {});
}
