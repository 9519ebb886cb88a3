//! What the whole stack of a server costs over real sockets: axum with every layer that a server
//! has, against the same handler naked, on loopback.
//!
//! ```text
//! cargo bench --bench end_to_end --features http,metrics [-- --test]
//! ```
//!
//! All servers run on one thread, the client on another. They are measured in turn, naked,
//! protected, protected, naked, so that what else the machine does hits both alike, and a pair of
//! such runs gives one ratio. The table has the median of these, and the quartiles.
//!
//! - **throughput** is what 16 connections get done, each with the next request as soon as it has an
//!   answer. It counts whatever is on the way, the client's share too.
//! - **CPU** is what the server's thread used for a request meanwhile, by the kernel's account. It
//!   has no part of the client in it, and shows what a busy machine hides.
//! - **p99** is over 4,000 requests a second on eight connections, at fixed times.
//!
//! Then each layer by itself, by CPU alone. "A layer that does nothing" is what axum takes for there
//! being any layer at all: it is in each of the others.
//!
//! A handler that does nothing is as hard on the layers as can be: naked, it and the client take
//! seven microseconds together. So there is a second one, which computes for about a tenth of a
//! millisecond: what handlers do comes on top of both, and the layers cost the same.

mod client;
mod server;

use std::time::Duration;

use client::Client;
use server::{Kind, NOTHING, Server, WORK};
use tokio::runtime::Runtime;
use tower::BoxError;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Plan {
    pairs: usize,
    /// Of one run.
    length: Duration,
}

const MEASURED: Plan = Plan { pairs: 21, length: Duration::from_millis(250) };

/// Each part once: that it runs, not how fast.
const TRIED: Plan = Plan { pairs: 1, length: Duration::from_millis(40) };

fn main() -> Result<(), BoxError> {
    let plan = if std::env::args().any(|arg| arg == "--test") { TRIED } else { MEASURED };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let server = Server::start()?;
    println!(
        "{:<28} {:>9} {:>9} {:>9}   {:^17}  target",
        "", "naked", "protected", "cost", "quartiles"
    );
    for (kind, path) in [
        (Kind::AllBulkhead, NOTHING),
        (Kind::AllAdaptive, NOTHING),
        (Kind::AllBulkhead, WORK),
        (Kind::AllAdaptive, WORK),
    ] {
        let handler = if path == WORK { "a handler that works" } else { "one that does nothing" };
        println!("{}, {handler}", kind.name());
        let (rates, costs) = throughput(&runtime, &server, (kind, path), plan)?;
        report("throughput, requests/s", &rates, 1.0, |(a, b)| 1.0 - b / a, "<= 3 %");
        report("CPU of the server, us", &costs, 1e6, |(a, b)| b / a - 1.0, "");
        let tails = tail(&runtime, &server, (kind, path), plan)?;
        report("p99, us", &tails, 1e6, |(a, b)| b / a - 1.0, "<= 5 %");
    }
    println!("one layer by itself: CPU of the server, us");
    for kind in Kind::alone() {
        let (_, costs) = throughput(
            &runtime,
            &server,
            (kind, NOTHING),
            Plan { pairs: plan.pairs.div_ceil(3), ..plan },
        )?;
        report(kind.name(), &costs, 1e6, |(a, b)| b / a - 1.0, "");
    }
    Ok(())
}

/// A figure of one pair: naked, and protected.
type Pair = (f64, f64);

/// Requests a second, and seconds of the server's thread for a request, of pairs of runs.
fn throughput(
    runtime: &Runtime,
    server: &Server,
    (kind, path): (Kind, &'static str),
    plan: Plan,
) -> Result<(Vec<Pair>, Vec<Pair>), BoxError> {
    let [naked, protected] = [Kind::Naked, kind]
        .map(|kind| runtime.block_on(Client::connect(server.address(kind), path, 16)));
    let [mut naked, mut protected] = [naked?, protected?];
    let run = |client: &mut Client| -> Result<[f64; 2], BoxError> {
        let before = server.cpu();
        let done = runtime.block_on(client.saturate(plan.length))?;
        let used = server.cpu().zip(before).map(|(after, before)| after.saturating_sub(before));
        let used = used.map_or(f64::NAN, |used| used.as_secs_f64());
        Ok([f64::from(done) / plan.length.as_secs_f64(), used / f64::from(done)])
    };
    let (mut rates, mut costs): (Vec<Pair>, Vec<Pair>) = Default::default();
    // The first of each makes the connections warm, and is left out.
    run(&mut naked)?;
    run(&mut protected)?;
    for _ in 0..plan.pairs {
        let [a, b] = [run(&mut naked)?, run(&mut protected)?];
        let [c, d] = [run(&mut protected)?, run(&mut naked)?];
        rates.push((f64::midpoint(a[0], d[0]), f64::midpoint(b[0], c[0])));
        costs.push((f64::midpoint(a[1], d[1]), f64::midpoint(b[1], c[1])));
    }
    Ok((rates, costs))
}

/// The p99 of pairs of runs, in seconds.
fn tail(
    runtime: &Runtime,
    server: &Server,
    (kind, path): (Kind, &'static str),
    plan: Plan,
) -> Result<Vec<Pair>, BoxError> {
    let [naked, protected] = [Kind::Naked, kind]
        .map(|kind| runtime.block_on(Client::connect(server.address(kind), path, 8)));
    let [mut naked, mut protected] = [naked?, protected?];
    let mut pairs = Vec::new();
    let run = |client: &mut Client| runtime.block_on(client.pace(plan.length));
    run(&mut naked)?;
    run(&mut protected)?;
    for _ in 0..plan.pairs {
        let (mut a, mut b) = (run(&mut naked)?, run(&mut protected)?);
        b.append(&mut run(&mut protected)?);
        a.append(&mut run(&mut naked)?);
        pairs.push((p99(&mut a), p99(&mut b)));
    }
    Ok(pairs)
}

/// In seconds.
fn p99(latencies: &mut [Duration]) -> f64 {
    latencies.sort_unstable();
    latencies.get(latencies.len() * 99 / 100).map_or(f64::NAN, Duration::as_secs_f64)
}

/// A row: medians of both, and of what the layers cost, as a share of the naked figure.
fn report(what: &str, pairs: &[Pair], unit: f64, cost: fn(Pair) -> f64, target: &str) {
    let of = |figure: fn(Pair) -> f64| quartiles(pairs.iter().copied().map(figure).collect());
    let [naked, protected] = [of(|(a, _)| a)[1] * unit, of(|(_, b)| b)[1] * unit];
    let [low, middle, high] = of(cost).map(|cost| cost * 100.0);
    println!(
        "  {what:<26} {naked:>9.1} {protected:>9.1} {middle:>+7.1} %   {low:>+6.1} .. {high:>+6.1}  {target}"
    );
}

/// The lower quartile, the median, the upper quartile.
fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len() - 1;
    [last / 4, last / 2, last - last / 4].map(|place| values[place])
}
