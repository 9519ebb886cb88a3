//! What an adaptive limit tells, what its shadow does, and what it will not be built with.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress::adaptive_limit::{AdaptiveLimitLayer, Config};
use buttress::bulkhead::QueueOrder;
use buttress::observe::EventKind::{
    Abandoned, Admitted, LimitChanged, Queued, Rejected, WouldReject,
};
use buttress::observe::{Event, Observe};
use buttress::{Class, ConfigError, Reason};
use tokio::time::advance;
use tower::Layer;

use super::MS;
use super::puppet::Puppet;
use crate::support::{Ask, Ledger, Mock, admitted, call, panics, poll_once, refusal, settled};

#[tokio::test(start_paused = true)]
async fn a_call_is_told_of_and_so_is_a_changed_limit() {
    let (ledger, puppet) = (Ledger::default(), Puppet::at(1.0));
    let layer = AdaptiveLimitLayer::builder()
        .algorithm(puppet.clone())
        .queue(1)
        .observe(ledger.clone())
        .build();
    let mut service = layer.layer(Mock::new());
    let held = call(&mut service, Ask::Hold);
    let mut waiting = call(&mut service, Ask::Answer(1));
    assert!(poll_once(&mut waiting).is_pending());
    refusal(call(&mut service, Ask::Answer(1)).await);
    advance(30 * MS).await;
    puppet.set_limit(5.0);
    drop(held);
    assert_eq!(
        ledger.take("adaptive_limit"),
        [
            admitted(),
            Queued,
            Rejected(Reason::LimitReached),
            Abandoned,
            LimitChanged { from: 1, to: 5 },
        ]
    );
    assert_eq!(waiting.await, Ok(1));
    let waited = Admitted { waited: 30 * MS };
    assert_eq!(ledger.take("adaptive_limit"), [waited, settled(Class::Success)]);
    puppet.set_limit(2.5);
    let running = call(&mut service, Ask::Answer(1));
    let changed = LimitChanged { from: 5, to: 2 };
    assert_eq!(ledger.take("adaptive_limit"), [admitted(), changed], "at an admission too");
    puppet.set_limit(2.9);
    drop(running.await);
    assert_eq!(ledger.take("adaptive_limit"), [settled(Class::Success)], "it is 2 still");
    ledger.assert_settled();
}

#[tokio::test(start_paused = true)]
async fn skipped_calls_are_told_of_with_their_latency() {
    let (puppet, seen) = (Puppet::at(9.0), Arc::new(Mutex::new(Vec::new())));
    let log = seen.clone();
    let layer = AdaptiveLimitLayer::builder()
        .algorithm(puppet.clone())
        .observe(move |event: &Event<'_>| log.lock().unwrap().push(event.kind))
        .build();
    let mut service = layer.layer(Mock::new());
    puppet.set_skip(9);
    for _ in 0..2 {
        assert_eq!(call(&mut service, Ask::After(20 * MS, 1)).await, Ok(1));
    }
    assert_eq!(puppet.admitted().len(), 1);
    let settled = buttress::observe::EventKind::Settled { class: Class::Success, latency: 20 * MS };
    assert_eq!(*seen.lock().unwrap(), [admitted(), settled, admitted(), settled]);
}

/// Keeps the limits that it is told, the first as a change from nothing.
#[derive(Clone, Default)]
struct Limits(Arc<Mutex<Vec<(usize, usize)>>>);

impl Observe for Limits {
    fn on_event(&self, event: &Event<'_>) {
        if let LimitChanged { from, to } = event.kind {
            self.0.lock().unwrap().push((from, to));
        }
    }

    fn on_limit(&self, limit: usize) {
        self.0.lock().unwrap().push((0, limit));
    }
}

#[test]
fn each_change_goes_on_from_the_one_before_whichever_threads_make_them() {
    let (limits, puppet) = (Limits::default(), Puppet::at(8.0));
    let layer = AdaptiveLimitLayer::builder()
        .algorithm(puppet.clone())
        .min(4)
        .observe(limits.clone())
        .build();
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let (layer, puppet) = (&layer, &puppet);
            scope.spawn(move || {
                let mut service = layer.layer(Mock::new());
                for round in 0..3_000_u32 {
                    puppet.set_limit(f64::from(5 + (round * 7 + thread) % 50));
                    assert!(poll_once(&mut call(&mut service, Ask::Answer(1))).is_ready());
                }
            });
        }
    });
    let told = limits.0.lock().unwrap();
    assert_eq!(told[0], (0, 8));
    assert!(told.len() > 1_000, "{}", told.len());
    for pair in told.windows(2) {
        assert_eq!(pair[0].1, pair[1].0);
        assert_ne!(pair[1].0, pair[1].1);
    }
    assert_eq!(told.last().unwrap().1, layer.handle().limit(), "the last is the one that holds");
}

#[tokio::test(start_paused = true)]
async fn a_shadow_decides_counts_and_reports_but_never_refuses_or_makes_wait() {
    for queue in [0, 5] {
        let (ledger, puppet) = (Ledger::default(), Puppet::at(1.0));
        let layer = AdaptiveLimitLayer::builder()
            .algorithm(puppet.clone())
            .queue(queue)
            .shadow()
            .observe(ledger.clone())
            .build();
        let mut service = layer.layer(Mock::new());
        let held = [Ask::Hold, Ask::Hold].map(|ask| call(&mut service, ask));
        assert_eq!((layer.handle().in_flight(), layer.handle().queued()), (2, 0));
        assert_eq!(call(&mut service, Ask::Answer(7)).await, Ok(7));
        let would = WouldReject(Reason::LimitReached);
        let told = ledger.take("adaptive_limit");
        assert_eq!(
            told,
            [admitted(), would, admitted(), would, admitted(), settled(Class::Success)]
        );
        assert!(puppet.ended()[0].pressed, "the algorithm goes on as if they had been refused");
        puppet.set_limit(9.0);
        drop(held);
        assert_eq!((layer.handle().limit(), layer.handle().in_flight()), (9, 0));
        ledger.assert_settled();
    }
}

#[tokio::test(start_paused = true)]
async fn a_handle_shows_the_limit_the_calls_in_flight_and_in_line() {
    let layer =
        AdaptiveLimitLayer::builder().algorithm(Puppet::at(2.0)).min(2).max(50).queue(5).build();
    let mut service = layer.layer(Mock::new());
    let _calls: Vec<_> = (0..3).map(|_| call(&mut service, Ask::Hold)).collect();
    let handle = layer.handle();
    assert_eq!((handle.limit(), handle.in_flight(), handle.queued()), (2, 2, 1));
    let snapshot = handle.snapshot();
    assert_eq!((snapshot.limit, snapshot.in_flight, snapshot.queued), (2, 2, 1));
    assert_eq!((snapshot.min, snapshot.max), (2, 50));
    assert!(format!("{handle:?} {layer:?} {service:?}").contains("in_flight: 2"));
}

#[test]
fn nonsense_is_refused_by_try_build_and_build_panics_with_the_same_text() {
    let builder = AdaptiveLimitLayer::builder;
    let tried: [(Result<(), ConfigError>, &str); 8] = [
        (builder().min(0).try_build().map(drop), "adaptive_limit.min is 0, allowed is 1 or more"),
        (
            builder().min(5).max(4).try_build().map(drop),
            "adaptive_limit.max is 4, allowed is at least min and at most 16,777,216",
        ),
        (
            builder().max((1 << 24) + 1).try_build().map(drop),
            "adaptive_limit.max is 16777217, allowed is at least min and at most 16,777,216",
        ),
        (
            builder().initial(0).try_build().map(drop),
            "adaptive_limit.initial is 0, allowed is from min to max",
        ),
        (
            builder().min(3).initial(2).try_build().map(drop),
            "adaptive_limit.initial is 2, allowed is from min to max",
        ),
        (
            builder().max(9).initial(10).try_build().map(drop),
            "adaptive_limit.initial is 10, allowed is from min to max",
        ),
        (
            builder().queue((1 << 24) + 1).try_build().map(drop),
            "adaptive_limit.queue is 16777217, allowed is at most 16,777,216",
        ),
        (
            builder().queue(1).max_wait(Duration::ZERO).try_build().map(drop),
            "adaptive_limit.max_wait is 0ns, allowed is longer than 0",
        ),
    ];
    for (result, text) in tried {
        assert_eq!(result.unwrap_err().to_string(), text);
    }
    assert!(builder().min(4).max(4).initial(4).try_build().is_ok());
    let text = panics(|| builder().min(0).build());
    assert_eq!(text, "adaptive_limit.min is 0, allowed is 1 or more");
}

#[tokio::test(start_paused = true)]
async fn a_config_builds_the_same_limit() {
    let mut config = Config::default();
    (config.min, config.max, config.initial) = (1, 1, Some(1));
    (config.queue, config.max_wait) = (1, Some(5 * MS));
    (config.order, config.name) = (QueueOrder::Lifo, Some("search".into()));
    let layer = AdaptiveLimitLayer::from_config(config.clone()).unwrap();
    let mut service = layer.layer(Mock::new());
    let _held = call(&mut service, Ask::Hold);
    let refused = refusal(call(&mut service, Ask::Answer(1)).await);
    assert_eq!((refused.reason(), refused.name()), (Reason::QueueTimedOut, Some("search")));
    config.max = 0;
    assert_eq!(
        AdaptiveLimitLayer::from_config(config).unwrap_err().setting(),
        "adaptive_limit.max"
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_name_it_is_called_by_its_kind() {
    let layer = AdaptiveLimitLayer::builder().max(1).build();
    let mut service = layer.layer(Mock::new());
    let _held = call(&mut service, Ask::Hold);
    let refused = refusal(call(&mut service, Ask::Answer(1)).await);
    assert_eq!(refused.to_string(), "concurrency limit reached (adaptive_limit)");
}
