//! The models against queueing theory: what is simulated is what is said.

use buttress::sim::{Clients, Faults, Latency, Plan, Report, Server, Sim};

use crate::stacks::{CAPACITY, SERVICE_TIME, WORKERS, bare, clients, ms, seconds, world};

fn run(plan: &Plan) -> Report {
    Sim::new(7).run(plan, bare)
}

fn mean_latency(report: &Report) -> f64 {
    let latencies = &report.clients["shop"].latencies;
    latencies.iter().map(|&nanos| nanos as f64).sum::<f64>() / latencies.len() as f64 / 1e9
}

fn close(measured: f64, expected: f64, within: f64) {
    assert!((measured / expected - 1.0).abs() < within, "{measured} against {expected}");
}

/// The probability to wait in an M/M/c queue (A. K. Erlang, 1917).
fn erlang_c(workers: u32, offered: f64) -> f64 {
    let c = f64::from(workers);
    let (mut term, mut sum) = (1.0, 1.0);
    for k in 1..workers {
        term *= offered / f64::from(k);
        sum += term;
    }
    let last = term * offered / c * c / (c - offered);
    last / (sum + last)
}

#[test]
fn a_server_with_poisson_arrivals_is_an_m_m_c_queue() {
    for utilisation in [0.5, 0.75, 0.9] {
        let plan = world(seconds(4000), clients(utilisation).deadline(seconds(60)), Faults::new());
        let waits = erlang_c(WORKERS, utilisation * f64::from(WORKERS));
        let wait = waits / (CAPACITY * (1.0 - utilisation));
        // Answers are heard at the next tick of a millisecond: half of one later on average. The
        // request comes at a tick too, so that what is measured is the wait from there.
        let expected = SERVICE_TIME.as_secs_f64() + wait + 0.0005;
        close(mean_latency(&run(&plan)), expected, 0.03);
    }
}

#[test]
fn poisson_arrivals_come_at_their_rate_in_spikes_and_bursts() {
    let spiky = Clients::open(50.0).spike(4.0, seconds(100), seconds(100));
    let report = run(&world(seconds(300), spiky, Faults::new()));
    let offered = |from: usize, to: usize| {
        let moments = &report.clients["shop"].moments[10 * from..10 * to];
        moments.iter().map(|moment| moment.offered as f64).sum::<f64>()
    };
    close(offered(0, 100), 5_000.0, 0.05);
    close(offered(100, 200), 20_000.0, 0.03);
    close(offered(200, 300), 5_000.0, 0.05);

    let bursts = Clients::bursts(100.0, seconds(1), seconds(3));
    let report = run(&world(seconds(400), bursts, Faults::new()));
    close(report.offered() as f64, 10_000.0, 0.04);
    let silent = report.clients["shop"].moments.iter().skip(11).step_by(40);
    assert_eq!(silent.map(|moment| moment.offered).sum::<u64>(), 0);
}

/// Little's law for a closed system: clients = throughput x (response time + think time).
#[test]
fn closed_clients_obey_littles_law() {
    let crowd = Clients::closed(40, Latency::exponential(ms(200))).deadline(seconds(60));
    let report = run(&world(seconds(1000), crowd, Faults::new()));
    let throughput = report.good() as f64 / 1000.0;
    close(throughput * (mean_latency(&report) + 0.2005), 40.0, 0.02);
}

#[test]
fn the_scalability_law_bounds_throughput() {
    // 100 clients who do not think keep 100 requests in work.
    let crowd = Clients::closed(100, Latency::fixed(ms(0))).deadline(seconds(60));
    let server = Server::universal_scalability(Latency::exponential(ms(20)), 0.02, 0.0005);
    let plan = Plan::new(seconds(200)).server("db", server).clients("shop", crowd);
    let expected = 100.0 / 0.02 / (1.0 + 0.02 * 99.0 + 0.0005 * 100.0 * 99.0);
    close(run(&plan).good() as f64 / 200.0, expected, 0.03);
}

#[test]
fn capacity_is_exact_although_the_clock_ticks_in_milliseconds() {
    // 3.3 ms each: were they rounded up to 4, a fifth of the capacity would be lost.
    let server = Server::workers(2, Latency::fixed(std::time::Duration::from_micros(3_300)));
    assert!((server.capacity() - 606.06).abs() < 0.01);
    let plan = Plan::new(seconds(20)).server("db", server).clients("shop", Clients::open(1_000.0));
    let report = run(&plan.drain(seconds(0)));
    close(report.servers["db"].completed as f64, 606.06 * 20.0, 0.002);
}
