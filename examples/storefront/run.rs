//! A run: the two storefronts side by side, each with services of its own.

use std::sync::Arc;
use std::time::Duration;

use buttress::observe::MetricsObserver;
use http::Method;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::time::{Instant, interval, sleep_until};
use tower::BoxError;

use crate::record::{Notes, Record};
use crate::script::{Arrival, Route, Script, arrivals};
use crate::shop::{self, Dependency, Front, Shop};
use crate::upstream::{Capacity, Upstream};
use crate::{load, stack};

/// Fixed, so that every run sees the same traffic.
const SEED: u64 = 0x5707_EF40;

/// What is left of a storefront's run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) notes: Notes,
    /// What `/metrics` said at the end.
    pub(crate) metrics: String,
}

/// The records of a run of the naked storefront and of the protected one, which starts presently.
pub(crate) fn records() -> [Arc<Record>; 2] {
    // Until then everything is up and listening.
    let start = Instant::now() + Duration::from_millis(100);
    [(); 2].map(|()| Arc::new(Record::new(start)))
}

/// Runs both at once and not in turn, so that whatever else the machine does hits both alike.
pub(crate) async fn both(
    script: &Script,
    [naked, protected]: &[Arc<Record>; 2],
) -> Result<[Run; 2], BoxError> {
    // One process, one recorder: what `/metrics` says is about both.
    let recorder = PrometheusBuilder::new().install_recorder()?;
    MetricsObserver::describe();
    let traffic = arrivals(script.length, SEED);
    let runs = tokio::try_join!(
        storefront(script, &traffic, false, naked.clone(), recorder.clone()),
        storefront(script, &traffic, true, protected.clone(), recorder),
    )?;
    Ok(runs.into())
}

async fn storefront(
    script: &Script,
    traffic: &[Arrival],
    protect: bool,
    record: Arc<Record>,
    recorder: PrometheusHandle,
) -> Result<Run, BoxError> {
    let name = if protect { "protected" } else { "naked" };
    let payments = Upstream::start(Route::Checkout, payments(script), SEED, record.clone())?;
    let catalog = Upstream::start(Route::Catalog, catalog(), SEED, record.clone())?;
    let client = shop::client(Route::Checkout, record.clone());
    let (service, front): (_, Front) = if protect {
        (stack::protected(client), stack::limited)
    } else {
        (stack::naive(client), |_, route| route)
    };
    let to_payments = Dependency {
        method: Method::POST,
        uri: format!("http://{}/payments", payments.address()).parse()?,
        service,
    };
    let to_catalog = Dependency {
        method: Method::GET,
        uri: format!("http://{}/catalog", catalog.address()).parse()?,
        service: stack::plain(shop::client(Route::Catalog, record.clone())),
    };
    let shop = Shop::open(name, to_payments, to_catalog, front, recorder).await?;
    tokio::join!(
        load::generate(traffic, shop.address, &record),
        direct(script, &payments, &record),
        watch(script, &shop, &payments, &record),
    );
    let metrics = load::scrape(shop.address).await?;
    shop.close();
    payments.stop().await?;
    catalog.stop().await?;
    let notes = record.with(std::mem::take);
    Ok(Run { notes, metrics })
}

/// 333 calls a second at most: the traffic is three quarters of what it can do.
fn payments(script: &Script) -> Capacity {
    Capacity {
        pace: millis(20)..millis(40),
        workers: 10,
        fails_one_in: Some(50),
        cold_for: script.cold(),
    }
}

fn catalog() -> Capacity {
    let (pace, cold_for) = (millis(2)..millis(6), Duration::ZERO);
    Capacity { pace, workers: 100, fails_one_in: None, cold_for }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Gives payments its mood in every phase.
async fn direct(script: &Script, payments: &Upstream, record: &Record) {
    for phase in &script.phases {
        sleep_until(record.start() + phase.start).await;
        payments.set_mood(phase.mood);
    }
}

/// Notes how many workers are busy, and how long the line at payments is.
async fn watch(script: &Script, shop: &Shop, payments: &Upstream, record: &Record) {
    let mut tick = interval(millis(20));
    while record.now() < script.length {
        tick.tick().await;
        record.sample(shop.busy_workers(), payments.in_line());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot;
    use crate::report::Report;

    /// The shortest run there is, over real sockets. What a busy machine can spoil is left to
    /// `--check`, which is run on the example as it is shipped.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_short_run_accounts_for_every_call() {
        let script = Script::lasting(Duration::from_secs(5));
        let [naked, protected] = both(&script, &records()).await.unwrap();
        let traffic = arrivals(script.length, SEED).len();
        for outcome in [&naked, &protected] {
            assert_eq!(outcome.notes.calls.len(), traffic);
            let report = Report::new(&script, &outcome.notes);
            let routes = || report.phases.iter().flat_map(|phase| &phase.routes);
            assert_eq!(routes().map(|route| route.offered).sum::<usize>(), traffic);
            assert!(routes().all(|route| route.offered > 0 && route.p99.is_some()));
            assert!(outcome.metrics.contains("storefront_busy_workers"));
        }
        let plot = plot::render(&script, &naked.notes, &protected.notes).unwrap();
        assert!(!plot.contains("NaN") && !plot.contains("inf"), "{plot}");
        let [naked, protected] =
            [&naked, &protected].map(|outcome| Report::new(&script, &outcome.notes));
        let refused = |report: &Report, code| -> usize {
            let routes = report.phases.iter().flat_map(|phase| &phase.routes);
            routes.filter_map(|route| route.refused.get(code)).sum()
        };
        assert!(refused(&protected, "circuit_open") > 0);
        assert_eq!(refused(&naked, "circuit_open"), 0);
        let refusing = |report: &Report| report.phases[4].routes[0].upstream_calls;
        assert!(refusing(&protected) < refusing(&naked), "nobody counted the refused connections");
    }
}
