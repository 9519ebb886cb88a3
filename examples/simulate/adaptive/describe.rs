//! A workload in one line.

use std::time::Duration;

use buttress::sim::limits::{Demand, Workload};
use buttress::sim::{FaultKind, Latency, Server};

/// The server, the network, the load, the callers, what goes wrong, and how long it all lasts.
pub(crate) fn describe(workload: &Workload) -> String {
    let caller = &workload.callers[0];
    let mut words = vec![server(&workload.server)];
    let ways: Vec<_> = caller.network.iter().map(|(_, way)| time(*way)).collect();
    if caller.network.iter().any(|(_, way)| !way.is_zero()) {
        words.push(format!("network {}", ways.join(" -> ")));
    }
    words.push(match &caller.demand {
        Demand::Open(steps) => {
            let capacity = workload.server.capacity();
            #[allow(clippy::cast_precision_loss, reason = "a handful of callers")]
            let callers = workload.callers.len() as f64;
            let loads = steps.iter().map(|(_, rate)| format!("{:.2}", callers * rate / capacity));
            format!("load {}", loads.collect::<Vec<_>>().join(" -> "))
        }
        other => format!("{other:?}"),
    });
    if workload.callers.len() > 1 {
        words.push(format!("{} callers", workload.callers.len()));
    }
    for fault in &workload.faults.0 {
        let until = fault.until().as_secs_f64();
        let from = fault.from.as_secs_f64();
        words.push(format!("{} {from:.0}-{until:.0} s", kind(fault.kind)));
    }
    words.push(format!("{:.0} s", workload.run_for.as_secs_f64()));
    words.join(", ")
}

/// Two digits are enough.
fn kind(kind: FaultKind) -> String {
    match kind {
        FaultKind::Slow { factor } => format!("{factor:.2} times slower"),
        FaultKind::LoseWorkers { share } => {
            format!("without {:.0} % of its workers", share * 100.0)
        }
        other => other.to_string(),
    }
}

fn server(server: &Server) -> String {
    let (sigma, kappa) = (server.contention, server.coherency);
    let law = if kappa > 0.0 { format!(" USL {sigma:.3}/{kappa:.4}") } else { String::new() };
    format!("{} workers{law} {}", server.workers, latency(server.latency))
}

fn latency(latency: Latency) -> String {
    match latency {
        Latency::Fixed { always } => format!("fixed {}", time(always)),
        Latency::Uniform { low, high } => format!("uniform {} to {}", time(low), time(high)),
        Latency::Exponential { mean } => format!("exponential {}", time(mean)),
        Latency::LogNormal { median, sigma } => format!("lognormal {} {sigma:.2}", time(median)),
        Latency::Pareto { least, shape } => format!("Pareto {} {shape:.2}", time(least)),
        Latency::Bimodal { usual, slow, share } => {
            format!("{} but {:.1} % {}", time(usual), share * 100.0, time(slow))
        }
        other => format!("{other:?}"),
    }
}

fn time(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1e3;
    if ms >= 10.0 { format!("{ms:.0} ms") } else { format!("{ms:.1} ms") }
}

#[cfg(test)]
mod tests {
    use buttress::sim::Faults;
    use buttress::sim::limits::Caller;

    use super::*;

    #[test]
    fn what_changes_is_told_in_its_order() {
        let (ms, secs) = (Duration::from_millis, Duration::from_secs);
        let server = Server::workers(4, Latency::exponential(ms(20)));
        let mut caller = Caller::new(Demand::Open(vec![(secs(0), 100.0), (secs(10), 200.0)]));
        caller.network = vec![(secs(0), ms(5)), (secs(10), ms(50))];
        let workload = Workload::new(server, 1.0)
            .callers(vec![caller.clone(), caller])
            .faults(Faults::new().slow(Workload::SERVER, 2.0, secs(20), secs(10)))
            .run_for(secs(30));
        assert_eq!(
            describe(&workload),
            "4 workers exponential 20 ms, network 5.0 ms -> 50 ms, load 1.00 -> 2.00, 2 callers, \
             2.00 times slower 20-30 s, 30 s"
        );
    }
}
