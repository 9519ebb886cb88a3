//! What the two observers of the crate write, seen from outside.

use std::convert::Infallible;
use std::fmt::{self, Write as _};
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use buttress::BoxError;
use buttress::bulkhead::BulkheadLayer;
use buttress::circuit_breaker::CircuitBreakerLayer;
use buttress::observe::{MetricsObserver, ObserveLayer, TracingObserver};
use buttress::timeout::TimeoutLayer;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use tower::{Layer, Service, ServiceExt, service_fn};
use tracing::field::{Field, Visit};
use tracing::span;

/// Runs `work` under a Prometheus recorder of its own and gives back what a scrape would show.
fn scrape(work: impl FnOnce(&PrometheusRecorder)) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || work(&recorder));
    recorder.handle().render()
}

#[track_caller]
fn assert_shows(text: &str, line: &str) {
    assert!(text.lines().any(|l| l == line), "no `{line}` in\n{text}");
}

#[derive(Clone)]
struct Echo;

impl Service<u32> for Echo {
    type Response = u32;
    type Error = Infallible;
    type Future = Ready<Result<u32, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        ready(Ok(request))
    }
}

/// One call to a service that is ready and answers at once.
fn call<S: Service<u32>>(service: &mut S) -> Result<S::Response, S::Error> {
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(service.poll_ready(&mut cx), Poll::Ready(Ok(()))));
    let mut future = std::pin::pin!(service.call(7));
    match future.as_mut().poll(&mut cx) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("the inner service is always ready"),
    }
}

#[test]
fn calls_and_what_they_cost_are_counted_by_name() {
    let text = scrape(|_| {
        let metrics = MetricsObserver::new();
        let db = ObserveLayer::builder(metrics.clone()).name("db").build();
        let cache = ObserveLayer::new(metrics);
        for _ in 0..3 {
            call(&mut db.layer(Echo)).unwrap();
        }
        call(&mut cache.layer(Echo)).unwrap();
        drop(cache.layer(Echo).call(1));
    });
    for line in [
        r#"buttress_calls_total{layer="observe",name="db",class="success"} 3"#,
        r#"buttress_latency_seconds_count{layer="observe",name="db"} 3"#,
        r#"buttress_in_flight{layer="observe",name="db"} 0"#,
        r#"buttress_calls_total{layer="observe",name="observe",class="success"} 1"#,
        r#"buttress_abandoned_total{layer="observe",name="observe"} 1"#,
        r#"buttress_in_flight{layer="observe",name="observe"} 0"#,
    ] {
        assert_shows(&text, line);
    }
}

#[tokio::test(start_paused = true)]
async fn a_bulkhead_shows_its_limit_its_queue_and_who_was_turned_away() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let guard = metrics::set_default_local_recorder(&recorder);
    let layer = BulkheadLayer::builder(1)
        .name("db")
        .observe(MetricsObserver::new())
        .queue(1)
        .max_wait(Duration::from_millis(100))
        .build();
    let service = layer.layer(service_fn(async |wait: u64| {
        tokio::time::sleep(Duration::from_millis(wait)).await;
        Ok::<_, BoxError>(())
    }));
    let gauges = |in_flight, queued| {
        let text = recorder.handle().render();
        assert_shows(
            &text,
            &format!(r#"buttress_in_flight{{layer="bulkhead",name="db"}} {in_flight}"#),
        );
        assert_shows(&text, &format!(r#"buttress_queued{{layer="bulkhead",name="db"}} {queued}"#));
    };

    let mut first = Box::pin(service.clone().oneshot(50));
    assert!(futures::poll!(&mut first).is_pending());
    let mut second = Box::pin(service.clone().oneshot(500));
    assert!(futures::poll!(&mut second).is_pending());
    gauges(1, 1);
    service.clone().oneshot(1).await.unwrap_err();
    first.await.unwrap();
    assert!(futures::poll!(&mut second).is_pending());
    gauges(1, 0);
    service.clone().oneshot(1).await.unwrap_err();
    drop(second);
    gauges(0, 0);
    layer.handle().resize(9);

    let text = recorder.handle().render();
    for line in [
        r#"buttress_limit{layer="bulkhead",name="db"} 9"#,
        r#"buttress_rejections_total{layer="bulkhead",name="db",reason="bulkhead_full"} 1"#,
        r#"buttress_rejections_total{layer="bulkhead",name="db",reason="queue_timed_out"} 1"#,
        r#"buttress_abandoned_total{layer="bulkhead",name="db"} 1"#,
        r#"buttress_queue_seconds_sum{layer="bulkhead",name="db"} 0.05"#,
    ] {
        assert_shows(&text, line);
    }
    drop(guard);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_shows_its_state_its_changes_and_what_came_too_late() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let guard = metrics::set_default_local_recorder(&recorder);
    let layer = CircuitBreakerLayer::builder()
        .name("db")
        .observe(MetricsObserver::new())
        .consecutive_failures(1)
        .build();
    let service = layer.layer(service_fn(async |wait: u64| {
        tokio::time::sleep(Duration::from_millis(wait)).await;
        Err::<(), _>(BoxError::from("no"))
    }));
    let mut slow = Box::pin(service.clone().oneshot(50));
    assert!(futures::poll!(&mut slow).is_pending());
    service.clone().oneshot(1).await.unwrap_err();
    service.clone().oneshot(1).await.unwrap_err();
    slow.await.unwrap_err();

    let text = recorder.handle().render();
    for line in [
        r#"buttress_calls_total{layer="circuit_breaker",name="db",class="transient"} 1"#,
        r#"buttress_rejections_total{layer="circuit_breaker",name="db",reason="circuit_open"} 1"#,
        r#"buttress_late_results_total{layer="circuit_breaker",name="db"} 1"#,
        r#"buttress_in_flight{layer="circuit_breaker",name="db"} 0"#,
        r#"buttress_transitions_total{name="db",from="closed",to="open"} 1"#,
        r#"buttress_breaker_state{name="db",state="open"} 1"#,
        r#"buttress_breaker_state{name="db",state="closed"} 0"#,
    ] {
        assert_shows(&text, line);
    }
    drop(guard);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_leaves_nothing_in_flight() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let guard = metrics::set_default_local_recorder(&recorder);
    let limit = Duration::from_millis(10);
    let layer = TimeoutLayer::builder(limit).observe(MetricsObserver::new()).build();
    let never = service_fn(async |()| std::future::pending::<Result<(), BoxError>>().await);
    layer.layer(never).oneshot(()).await.unwrap_err();
    let text = recorder.handle().render();
    assert_shows(&text, r#"buttress_in_flight{layer="timeout",name="timeout"} 0"#);
    let line = r#"buttress_rejections_total{layer="timeout",name="timeout",reason="timed_out"} 1"#;
    assert_shows(&text, line);
    drop(guard);
}

#[test]
fn a_recorder_installed_after_the_layer_was_built_gets_everything() {
    let mut service = ObserveLayer::new(MetricsObserver::new()).layer(Echo);
    let text = scrape(|_| assert_eq!(call(&mut service), Ok(7)));
    assert!(text.contains("buttress_calls_total"), "{text}");
}

#[test]
fn a_warm_call_with_metrics_allocates_nothing() {
    scrape(|recorder| {
        let mut service = ObserveLayer::new(MetricsObserver::new()).layer(Echo);
        call(&mut service).unwrap();
        // Fewer than the samples that the recorder's histogram keeps in one block.
        let warm = allocation_counter::measure(|| {
            for _ in 0..20 {
                call(&mut service).unwrap();
            }
        });
        assert_eq!(warm.count_total, 0, "{warm:?}");
        let text = recorder.handle().render();
        assert!(text.contains("class=\"success\"} 21"), "the calls were recorded:\n{text}");
    });
}

/// Keeps what is recorded as one line for each event: level, target, fields.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Lines {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let metadata = event.metadata();
        let mut line = format!("{} {}", metadata.level(), metadata.target());
        event.record(&mut Fields(&mut line));
        self.0.lock().unwrap().push(line);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

/// What `work` recorded.
fn traced(work: impl FnOnce()) -> Vec<String> {
    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), work);
    Arc::try_unwrap(lines.0).unwrap().into_inner().unwrap()
}

#[tokio::test(start_paused = true)]
async fn calls_are_traced_with_fields() {
    let service = service_fn(async |wait: u64| {
        tokio::time::sleep(Duration::from_millis(wait)).await;
        Ok::<_, Infallible>(())
    });
    let layer = ObserveLayer::builder(TracingObserver::new()).name("db").build();
    let lines = Lines::default();
    let guard = tracing::subscriber::set_default(lines.clone());
    layer.layer(service).oneshot(250).await.unwrap();
    drop(guard);
    assert_eq!(
        *lines.0.lock().unwrap(),
        [
            r#"TRACE buttress kind="admitted" layer="observe" name="db" waited_seconds=0.0"#,
            r#"TRACE buttress kind="settled" layer="observe" name="db" class="success" latency_seconds=0.25"#,
        ],
    );
}

#[test]
fn an_abandoned_call_is_traced() {
    let layer = ObserveLayer::new(TracingObserver::new());
    let lines = traced(|| drop(layer.layer(Echo).call(1)));
    assert_eq!(lines[1..], [r#"TRACE buttress kind="abandoned" layer="observe" name="observe""#]);
}

#[test]
fn an_opening_is_a_warning_and_every_other_change_is_not() {
    let breaker = CircuitBreakerLayer::builder().name("db").observe(TracingObserver::new()).build();
    let bulkhead = BulkheadLayer::builder(4).name("db").observe(TracingObserver::new()).build();
    let lines = traced(|| {
        breaker.handle().force_open("maintenance");
        drop(breaker.layer(service_fn(async |_: u32| Ok::<_, BoxError>(()))).call(1));
        breaker.handle().auto();
        bulkhead.handle().resize(8);
    });
    assert_eq!(
        lines,
        [
            r#"WARN buttress kind="transitioned" layer="circuit_breaker" name="db" from="closed" to="forced_open""#,
            r#"DEBUG buttress kind="rejected" layer="circuit_breaker" name="db" reason="circuit_open""#,
            r#"INFO buttress kind="transitioned" layer="circuit_breaker" name="db" from="forced_open" to="closed""#,
            r#"INFO buttress kind="limit_changed" layer="bulkhead" name="db" from=4 to=8"#,
        ],
    );
}
