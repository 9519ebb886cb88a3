//! Workloads that nobody thought of: drawn from a seed.

use std::time::Duration;

use buttress::sim::limits::{Caller, Demand, Workload};
use buttress::sim::{Faults, Latency, Server};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// A server, its distribution, the network, the load, a change in the middle, and the callers.
pub(crate) fn workload(seed: u64) -> Workload {
    let rng = &mut SmallRng::seed_from_u64(seed);
    let server = server(rng);
    let work = server.latency.mean().as_secs_f64();
    let network = if rng.random_bool(0.5) { 0.0 } else { work * log_between(rng, 0.1, 8.0) };
    let network = Duration::from_secs_f64(network);
    let load = log_between(rng, 0.5, 5.0);
    // Each has a limit of 1 at least, so there are no more than the server has use for.
    let most = whole(server.best_concurrency() / 4.0);
    let callers = if rng.random_bool(0.75) { 1 } else { rng.random_range(2..=8) }.min(most.max(1));
    let rate = load * server.capacity();
    let each = Demand::Open(vec![(Duration::ZERO, rate / f64::from(callers))]);
    // Long enough for some ten thousand calls, and for the slow ones to have their turn.
    let alone = work + network.as_secs_f64();
    let run_for = (20_000.0 / server.capacity()).max(100.0 * alone).clamp(60.0, 120.0);
    let run_for = Duration::from_secs_f64(run_for);
    let workload = Workload::new(server, load)
        .run_for(run_for)
        .callers((0..callers).map(|_| Caller::new(each.clone())).collect())
        .network(network);
    step(rng, workload, rate / f64::from(callers))
}

fn server(rng: &mut SmallRng) -> Server {
    let mean = log_between(rng, 0.002, 0.2);
    let time = |seconds: f64| Duration::from_secs_f64(seconds);
    let latency = match rng.random_range(0..6) {
        0 => Latency::fixed(time(mean)),
        1 => Latency::uniform(time(0.2 * mean), time(1.8 * mean)),
        2 => {
            let sigma = rng.random_range(0.3..1.5);
            Latency::log_normal(time(mean / (sigma * sigma / 2.0_f64).exp()), sigma)
        }
        3 => {
            let shape = rng.random_range(1.6..3.0);
            Latency::pareto(time(mean * (shape - 1.0) / shape), shape)
        }
        4 => {
            let (share, times) = (rng.random_range(0.01..0.1), rng.random_range(5.0..40.0));
            let usual = mean / (1.0 - share + share * times);
            Latency::bimodal(time(usual), time(usual * times), share)
        }
        _ => Latency::exponential(time(mean)),
    };
    if rng.random_bool(0.125) {
        let contention: f64 = rng.random_range(0.0..0.05);
        let coherency = log_between(rng, 2e-4, 5e-3);
        let mut server = Server::universal_scalability(latency, contention, coherency);
        // As every server it has a pool of threads, here one that is too large by far.
        server.workers = whole(4.0 * ((1.0 - contention) / coherency).sqrt());
        return server;
    }
    Server::workers(whole(log_between(rng, 2.0, 200.0)), latency)
}

/// Something changes after a third of the run, and is as before after two thirds of it; or not.
fn step(rng: &mut SmallRng, workload: Workload, rate: f64) -> Workload {
    let third = workload.run_for / 3;
    let factor = log_between(rng, 1.5, 4.0);
    let faults = Faults::new();
    let on = Workload::SERVER;
    match rng.random_range(0..6) {
        0 => workload.faults(faults.slow(on, factor, third, third)),
        1 if workload.server.coherency == 0.0 => {
            workload.faults(faults.lose_workers(on, 1.0 - 1.0 / factor, third, third))
        }
        2 => {
            let steps = vec![(Duration::ZERO, rate), (third, rate * factor), (2 * third, rate)];
            let mut workload = workload;
            for caller in &mut workload.callers {
                caller.demand = Demand::Open(steps.clone());
            }
            workload
        }
        3 => {
            let mut workload = workload;
            for caller in &mut workload.callers {
                let (_, before) = caller.network[0];
                let far = before.mul_f64(factor);
                caller.network = vec![(Duration::ZERO, before), (third, far), (2 * third, before)];
            }
            workload
        }
        _ => workload,
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some hundreds")]
fn whole(number: f64) -> u32 {
    number as u32
}

/// Every order of magnitude is as likely as any other.
fn log_between(rng: &mut SmallRng, low: f64, high: f64) -> f64 {
    rng.random_range(low.ln()..high.ln()).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_can_be_meant_each_is_another_and_a_seed_gives_the_same_again() {
        let all: Vec<_> = (0..500).map(workload).collect();
        for (seed, drawn) in (0..).zip(&all) {
            assert_eq!(drawn.validate(), Ok(()), "{drawn:?}");
            assert_eq!(*drawn, workload(seed));
            assert!(drawn.run_for >= Duration::from_secs(60));
        }
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
        let share = |of: fn(&Workload) -> bool| all.iter().filter(|drawn| of(drawn)).count();
        assert!((80..150).contains(&share(|drawn| drawn.callers.len() > 1)), "one in four");
        assert!((40..90).contains(&share(|drawn| drawn.server.coherency > 0.0)), "one in eight");
        assert!((200..300).contains(&share(|drawn| drawn.callers[0].network[0].1.is_zero())));
        assert!(share(|drawn| !drawn.faults.0.is_empty()) > 80);
    }
}
