//! Plans drawn by a seed, for scenario 37.

use buttress::sim::{Cancellation, Clients, Faults, Latency, Plan, QueueDiscipline, Server};

use crate::stacks::{ms, seconds};
use crate::tools::Dice;

fn latency(dice: &Dice) -> Latency {
    let usual = dice.millis(2..60);
    match dice.below(4) {
        0 => Latency::fixed(usual),
        1 => Latency::exponential(usual),
        2 => Latency::log_normal(usual, 0.8),
        _ => Latency::bimodal(usual, usual * 20, 0.05),
    }
}

fn server(dice: &Dice) -> Server {
    let mut server = Server::workers(dice.count(1..16), latency(dice));
    if dice.chance(40) {
        server = server.queue(dice.size(0..40));
    }
    if dice.chance(30) {
        server = server.discipline(QueueDiscipline::Lifo);
    }
    if dice.chance(50) { server.cancellation(Cancellation::Stops) } else { server }
}

fn clients(dice: &Dice) -> Clients {
    let clients = match dice.below(3) {
        0 => Clients::open(f64::from(dice.count(5..120))),
        1 => Clients::closed(dice.count(1..15), Latency::exponential(ms(100))),
        _ => Clients::bursts(f64::from(dice.count(20..300)), ms(300), ms(700)),
    };
    let clients = clients.deadline(dice.millis(20..1500));
    if dice.chance(50) { clients.timeout(dice.millis(10..1000)) } else { clients }
}

/// Servers, clients and faults drawn by the seed.
pub(crate) fn any_plan(seed: u64) -> Plan {
    let dice = Dice::new(seed);
    let mut faults = Faults::new();
    for _ in 0..dice.below(4) {
        let (at, lasting) = (dice.millis(0..4000), dice.millis(50..2000));
        faults = match dice.below(8) {
            0 => faults.slow("db", 10.0, at, lasting),
            1 => faults.lose_workers("db", 0.9, at, lasting),
            2 => faults.crash("db", at, lasting),
            3 => faults.silence("db", at, lasting),
            4 => faults.partition("db", at, lasting),
            5 => faults.lose_replies("db", 0.3, at, lasting),
            6 => faults.pause("db", at, lasting),
            _ => faults.errors("db", 0.7, at, lasting),
        };
    }
    Plan::new(seconds(5))
        .server("db", server(&dice))
        .clients("shop", clients(&dice))
        .clients("till", clients(&dice))
        .faults(faults)
        .drain(seconds(5))
}
