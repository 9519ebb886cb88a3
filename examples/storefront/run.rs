//! A run: the two storefronts side by side, each with services of its own.

use std::sync::Arc;
use std::time::Duration;

use buttress::observe::MetricsObserver;
use http::Method;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::time::{Instant, interval, sleep_until};
use tower::BoxError;

use crate::orders::customers;
use crate::orders::desk::Desk;
use crate::orders::plan::{Order, orders};
use crate::orders::report::OrderReport;
use crate::orders::stores::Stores;
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
    pub(crate) orders: OrderReport,
}

/// The records of a run of the naked storefront and of the protected one, which starts presently.
pub(crate) fn records() -> [Arc<Record>; 2] {
    // Until then everything is up and listening.
    let start = Instant::now() + Duration::from_millis(250);
    [(); 2].map(|()| Arc::new(Record::new(start)))
}

/// Runs both at once and not in turn, so that whatever else the machine does hits both alike.
pub(crate) async fn both(
    script: &Script,
    stores: &Stores,
    [naked, protected]: &[Arc<Record>; 2],
) -> Result<[Run; 2], BoxError> {
    // One process, one recorder: what `/metrics` says is about both.
    let recorder = PrometheusBuilder::new().install_recorder()?;
    MetricsObserver::describe();
    let traffic =
        Traffic { calls: arrivals(script.length, SEED), orders: orders(script.length, SEED) };
    let runs = tokio::try_join!(
        storefront(script, &traffic, stores, false, naked.clone(), recorder.clone()),
        storefront(script, &traffic, stores, true, protected.clone(), recorder),
    )?;
    Ok(runs.into())
}

/// What the customers of each storefront send.
struct Traffic {
    calls: Vec<Arrival>,
    orders: Vec<Order>,
}

async fn storefront(
    script: &Script,
    traffic: &Traffic,
    stores: &Stores,
    protect: bool,
    record: Arc<Record>,
    recorder: PrometheusHandle,
) -> Result<Run, BoxError> {
    let name = if protect { "protected" } else { "naked" };
    let payments = Upstream::start(Route::Checkout, payments(script), SEED, record.clone())?;
    let catalog = Upstream::start(Route::Catalog, catalog(), SEED, record.clone())?;
    let dependencies = dependencies(&payments, &catalog, protect, &record)?;
    let front: Front = if protect { stack::limited } else { |_, route| route };
    let desk = Desk::new(stores.table(name).await?, record.clone());
    let (mut shops, mut handles) = (Vec::new(), Vec::new());
    for _ in 0..stores.kind.instances() {
        let orders = if protect {
            let once = stack::idempotency(stores.records().await?, stores.namespace());
            handles.push(once.handle());
            desk.route(|handler| stack::once(once, handler))
        } else {
            desk.route(|handler| handler)
        };
        shops.push(Shop::open(name, &dependencies, front, orders, recorder.clone()).await?);
    }
    let addresses: Vec<_> = shops.iter().map(|shop| shop.address).collect();
    // The first instance does all the work; a second one is there for what is sent again.
    let ((), told, (), ()) = tokio::join!(
        load::generate(&traffic.calls, addresses[0], &record),
        customers::send(&traffic.orders, &addresses, &record),
        direct(script, &payments, &record),
        watch(script, &shops[0], &payments, &record),
    );
    // Orders whose customers have left.
    for handle in handles {
        handle.drain(Duration::from_secs(5)).await;
    }
    let metrics = load::scrape(addresses[0]).await?;
    shops.into_iter().for_each(Shop::close);
    payments.stop().await?;
    catalog.stop().await?;
    let rows = desk.rows().await?;
    let orders = OrderReport::new(&desk.begun(), &rows, &told);
    let mut notes = record.with(std::mem::take);
    notes.rows = rows;
    Ok(Run { notes, metrics, orders })
}

/// The services as the storefront's handlers know them: payments and the catalog.
fn dependencies(
    payments: &Upstream,
    catalog: &Upstream,
    protect: bool,
    record: &Arc<Record>,
) -> Result<[Dependency; 2], BoxError> {
    let client = shop::client(Route::Checkout, record.clone());
    let to_payments = Dependency {
        method: Method::POST,
        uri: format!("http://{}/payments", payments.address()).parse()?,
        service: if protect { stack::protected(client) } else { stack::naive(client) },
    };
    let to_catalog = Dependency {
        method: Method::GET,
        uri: format!("http://{}/catalog", catalog.address()).parse()?,
        service: stack::plain(shop::client(Route::Catalog, record.clone())),
    };
    Ok([to_payments, to_catalog])
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
    use crate::orders::stores::StoreKind;
    use crate::plot;
    use crate::report::Report;

    /// The shortest run there is, over real sockets. What a busy machine can spoil is left to
    /// `--check`, which is run on the example as it is shipped.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_short_run_accounts_for_every_call() {
        let script = Script::lasting(Duration::from_secs(5));
        let stores = Stores::open(StoreKind::Memory, None).unwrap();
        let [naked, protected] = both(&script, &stores, &records()).await.unwrap();
        let customers = orders(script.length, SEED).len();
        let traffic = arrivals(script.length, SEED).len();
        for outcome in [&naked, &protected] {
            assert_eq!(outcome.notes.calls.len(), traffic);
            assert_eq!((outcome.orders.customers, outcome.orders.unserved), (customers, 0));
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
