//! The workloads that a limit has to find its way through, and what is asked of it there.

use std::time::Duration;

use buttress::sim::limits::{Caller, Demand, Workload};
use buttress::sim::{Faults, Latency, Server};

use crate::adaptive::figures::{Asked, Back};

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) workload: Workload,
    pub(crate) asked: Asked,
}

/// Those whose name contains this; one of just this name, alone.
pub(crate) fn chosen(part: Option<&str>) -> Vec<Row> {
    let mut rows = rows();
    let Some(part) = part else { return rows };
    let exact = rows.iter().any(|row| row.name == part);
    rows.retain(|row| if exact { row.name == part } else { row.name.contains(part) });
    rows
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// All of them.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = steady();
    rows.extend(heavy());
    rows.extend(changing());
    rows.extend(demand());
    rows.extend(errors());
    rows.extend(shared());
    rows
}

fn row(name: &'static str, workload: Workload, goodput: f64, p99: f64) -> Row {
    Row { name, workload, asked: Asked::new(goodput, p99) }
}

fn mm32() -> Server {
    Server::workers(32, Latency::exponential(ms(10)))
}

/// M/M/32, 10 ms and 2 ms of network.
fn usual(load: f64) -> Workload {
    Workload::new(mm32(), load).network(ms(2))
}

fn steady() -> Vec<Row> {
    let exponential = |workers, mean| Server::workers(workers, Latency::exponential(ms(mean)));
    let fixed = |workers, always| Server::workers(workers, Latency::fixed(ms(always)));
    let small = Workload::new(exponential(2, 20), 2.0);
    let large = Workload::new(exponential(500, 25), 1.5).run_for(secs(30));
    let even = Workload::new(fixed(16, 10), 2.0);
    let pipe = Workload::new(fixed(8, 2), 2.0).network(ms(80));
    vec![
        row("M/M/32 load 0.5", usual(0.5), 0.985, 1.1),
        row("M/M/32 load 0.9", usual(0.9), 0.985, 1.1),
        row("M/M/32 load 1.2", usual(1.2), 0.985, 1.1),
        row("M/M/32 load 2", usual(2.0), 0.985, 1.1),
        row("M/M/32 load 5", usual(5.0).run_for(secs(30)), 0.985, 1.1),
        row("M/M/2 20 ms load 2", small, 0.95, 1.1),
        row("M/M/500 25 ms load 1.5", large, 0.985, 1.1),
        row("M/D/16 load 2", even, 0.985, 1.6),
        row("long thin pipe load 2", pipe, 0.985, 1.2),
    ]
}

fn heavy() -> Vec<Row> {
    let scalable = |sigma, kappa, load| {
        let server = Server::universal_scalability(Latency::exponential(ms(10)), sigma, kappa);
        Workload::new(server, load)
    };
    let lognormal = Server::workers(64, Latency::log_normal(ms(5), 1.5));
    let pareto = Server::workers(64, Latency::pareto(ms(5), 1.7));
    let bimodal = Server::workers(64, Latency::bimodal(ms(5), ms(200), 0.05));
    vec![
        row("USL .02/.0005 load 1.5", scalable(0.02, 0.0005, 1.5), 0.96, 1.2),
        row("USL .01/.004 load 3", scalable(0.01, 0.004, 3.0), 0.96, 1.2),
        row("lognormal(1.5) load 1.5", Workload::new(lognormal, 1.5), 0.95, 1.1),
        row("Pareto(1.7) load 1.5", Workload::new(pareto, 1.5), 0.95, 1.1),
        row("5 % 40x slower load 2", Workload::new(bimodal, 2.0), 0.95, 1.1),
    ]
}

fn changing() -> Vec<Row> {
    let back = |times: &[u64], within, mut row: Row| {
        let phases = times.windows(2).map(|two| (secs(two[0]), secs(two[1]))).collect();
        row.asked.back = Some(Back { phases, within: secs(within) });
        row
    };
    let wide = Server::workers(64, Latency::exponential(ms(10)));
    let on = Workload::SERVER;
    let capacity = Workload::new(wide.clone(), 1.3)
        .network(ms(2))
        .faults(Faults::new().lose_workers(on, 0.75, secs(20), secs(20)));
    let slower = usual(1.3).faults(Faults::new().slow(on, 4.0, secs(20), secs(20)));
    let mut network = Workload::new(mm32(), 1.5).network(ms(10));
    network.callers[0].network = vec![(secs(0), ms(10)), (secs(20), ms(50)), (secs(40), ms(10))];
    let frozen = usual(1.2).faults(Faults::new().pause(on, secs(20), secs(3)));
    vec![
        back(&[20, 40, 60], 2, row("capacity 64 -> 16 -> 64", capacity, 0.98, 1.2)),
        back(&[20, 40, 60], 2, row("service x4 and back", slower, 0.98, 1.2)),
        back(&[20, 40], 3, row("network 10 -> 50 -> 10", network, 0.97, 2.0)),
        back(&[23, 60], 2, row("frozen for 3 s load 1.2", frozen, 0.97, 1.2)),
    ]
}

fn demand() -> Vec<Row> {
    let surge = usual(1.0).load([(secs(0), 0.6), (secs(20), 4.0), (secs(40), 0.6)]);
    let idle = usual(1.0).load([(secs(0), 0.03), (secs(40), 3.0)]);
    let half_seconds = (0..30_u32).flat_map(|n| {
        let begin = n * secs(2);
        [(begin, 3.0), (begin + ms(500), 0.3)]
    });
    let on_off = usual(1.0).load(half_seconds);
    let triangle = usual(1.0).load((0..120_u32).map(|n| {
        let along = f64::from(n) / 60.0;
        (n * ms(500), 3.0 * if along < 1.0 { along } else { 2.0 - along })
    }));
    let waiting = usual(1.0).callers(vec![Caller::new(Demand::Waiting(400)).network(ms(2))]);
    let returning =
        usual(1.0).callers(vec![Caller::new(Demand::Returning(600, ms(100))).network(ms(2))]);
    vec![
        row("surge 0.6 -> 4 -> 0.6", surge, 0.98, 1.2),
        row("idle 40 s, then 3x", idle, 0.98, 1.2),
        row("on/off 3x and 0.3x", on_off, 0.92, 1.2),
        row("triangle to 3x", triangle, 0.98, 1.2),
        row("400 clients in front", waiting, 0.98, 1.2),
        row("600 users that return", returning, 0.98, 1.2),
    ]
}

fn errors() -> Vec<Row> {
    let sheds = Workload::new(mm32().queue(8), 2.0).network(ms(2));
    let failing = usual(0.7).fast_errors(0.6);
    vec![
        row("server sheds by itself load 2", sheds, 0.97, 1.2),
        row("60 % fast errors load 0.7", failing, 0.995, 1.2),
    ]
}

fn shared() -> Vec<Row> {
    let server = Server::workers(64, Latency::exponential(ms(10)));
    let fair = |name, workload, from| {
        let mut row = row(name, workload, 0.98, 2.0);
        row.asked.jain = Some((0.7, from));
        row
    };
    let among =
        |callers: Vec<Caller>| Workload::new(server.clone(), 2.0).network(ms(2)).callers(callers);
    let each = |n: u32| Demand::Open(vec![(secs(0), 2.0 * server.capacity() / f64::from(n))]);
    let alike = |n: u32| among((0..n).map(|_| Caller::new(each(n)).network(ms(2))).collect());
    let late = among(
        (0..4)
            .map(|n| Caller::new(each(4)).network(ms(2)).joins(secs(if n < 2 { 0 } else { 15 })))
            .collect(),
    );
    let apart = among([2, 2, 40, 40].map(|way| Caller::new(each(4)).network(ms(way))).into());
    vec![
        fair("4 limiters", alike(4), secs(5)),
        fair("16 limiters", alike(16), secs(5)),
        fair("4 limiters, two join late", late, secs(25)),
        fair("4 limiters, network 2/2/40/40", apart.deadline(ms(500)), secs(5)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_can_be_meant_and_has_a_name_of_its_own() {
        let rows = rows();
        for row in &rows {
            assert_eq!(row.workload.validate(), Ok(()), "{}", row.name);
            assert_eq!(chosen(Some(row.name)).len(), 1, "{}", row.name);
            for (from, until) in row.asked.back.iter().flat_map(|back| &back.phases) {
                assert!(from < until && *until <= row.workload.run_for, "{}", row.name);
            }
            assert_eq!(row.asked.jain.is_some(), row.workload.callers.len() > 1, "{}", row.name);
        }
        assert_eq!(chosen(Some("M/M/32")).len(), 5);
        assert_eq!(chosen(None).len(), rows.len());
    }
}
