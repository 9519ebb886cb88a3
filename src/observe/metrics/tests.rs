use metrics_exporter_prometheus::PrometheusBuilder;

use super::*;

const WAITED: Duration = Duration::from_millis(250);
const ADMITTED: EventKind = EventKind::Admitted { waited: Duration::ZERO };
const SETTLED: EventKind = EventKind::Settled { class: Class::Success, latency: WAITED };

/// What a recorder shows after these events of one layer, without comments.
fn shown(layer: &'static str, events: &[(Stage, EventKind)]) -> Vec<String> {
    let recorder = PrometheusBuilder::new().build_recorder();
    ::metrics::with_local_recorder(&recorder, || {
        let bound = MetricsObserver::new().bind(layer, "db").unwrap();
        for &(stage, kind) in events {
            bound.on_event(&Event { layer, name: "db", kind, stage });
        }
    });
    let text = recorder.handle().render();
    text.lines().filter(|l| l.starts_with("buttress")).map(str::to_owned).collect()
}

#[track_caller]
fn assert_shows(lines: &[String], wanted: &str) {
    assert!(lines.iter().any(|line| line == wanted), "no `{wanted}` in {lines:#?}");
}

#[test]
fn every_end_of_a_call_takes_it_out_of_the_gauge_it_was_in() {
    use Stage::{Arriving, InFlight, Waiting};
    let waited = EventKind::Admitted { waited: WAITED };
    let refused = EventKind::Rejected(Reason::QueueTimedOut);
    let calls: [&[_]; 8] = [
        &[(Arriving, ADMITTED), (InFlight, SETTLED)],
        &[(Arriving, ADMITTED), (InFlight, EventKind::LateResult)],
        &[(Arriving, ADMITTED), (InFlight, EventKind::Abandoned)],
        &[(Arriving, ADMITTED), (InFlight, EventKind::Rejected(Reason::TimedOut))],
        &[(Arriving, EventKind::Queued), (Waiting, refused)],
        &[(Arriving, EventKind::Queued), (Waiting, EventKind::Abandoned)],
        &[(Arriving, EventKind::Queued), (Waiting, waited), (InFlight, SETTLED)],
        &[(Arriving, EventKind::WouldReject(Reason::BulkheadFull)), (Arriving, refused)],
    ];
    for call in calls {
        // Two more of each stay behind, so that a gauge that was set and not moved shows.
        let mut events = vec![(Arriving, ADMITTED); 2];
        events.extend([(Arriving, EventKind::Queued); 2]);
        events.extend(call);
        let lines = shown("bulkhead", &events);
        assert_shows(&lines, r#"buttress_in_flight{layer="bulkhead",name="db"} 2"#);
        assert_shows(&lines, r#"buttress_queued{layer="bulkhead",name="db"} 2"#);
    }
}

#[test]
fn waits_are_recorded_for_the_calls_that_waited() {
    let lines = shown(
        "bulkhead",
        &[
            (Stage::Arriving, ADMITTED),
            (Stage::Arriving, EventKind::Queued),
            (Stage::Waiting, EventKind::Admitted { waited: WAITED }),
        ],
    );
    assert_shows(&lines, r#"buttress_queue_seconds_count{layer="bulkhead",name="db"} 1"#);
    assert_shows(&lines, r#"buttress_queue_seconds_sum{layer="bulkhead",name="db"} 0.25"#);
}

#[test]
fn a_breaker_shows_every_state_from_its_first_event_on() {
    let state =
        |state, value| format!(r#"buttress_breaker_state{{name="db",state="{state}"}} {value}"#);
    let calm = shown("circuit_breaker", &[(Stage::Arriving, ADMITTED)]);
    assert_shows(&calm, &state("closed", 1));
    let opened = EventKind::Transitioned { from: Phase::Closed, to: Phase::Open };
    let open = shown("circuit_breaker", &[(Stage::Arriving, opened)]);
    for phase in Phase::ALL {
        assert_shows(&open, &state(phase.label(), i32::from(phase == Phase::Open)));
    }
    let counted = r#"buttress_transitions_total{name="db",from="closed",to="open"} 1"#;
    assert_shows(&open, counted);
    let other = shown("bulkhead", &[(Stage::Arriving, ADMITTED)]);
    assert!(!other.iter().any(|line| line.contains("breaker_state")), "{other:#?}");
}

#[test]
fn every_metric_is_described() {
    let recorder = PrometheusBuilder::new().build_recorder();
    ::metrics::with_local_recorder(&recorder, || {
        MetricsObserver::describe();
        let bound = MetricsObserver::new().bind("circuit_breaker", "db").unwrap();
        let waited = EventKind::Admitted { waited: WAITED };
        for (stage, kind) in [
            (Stage::Arriving, EventKind::Queued),
            (Stage::Waiting, waited),
            (Stage::InFlight, SETTLED),
            (Stage::InFlight, EventKind::Abandoned),
            (Stage::InFlight, EventKind::LateResult),
            (Stage::Arriving, EventKind::Rejected(Reason::CircuitOpen)),
            (Stage::Arriving, EventKind::WouldReject(Reason::CircuitOpen)),
            (Stage::Arriving, EventKind::LimitChanged { from: 1, to: 2 }),
            (Stage::Arriving, EventKind::Transitioned { from: Phase::Closed, to: Phase::Open }),
        ] {
            bound.on_event(&Event { layer: "circuit_breaker", name: "db", kind, stage });
        }
    });
    let text = recorder.handle().render();
    let types: Vec<_> = text.lines().filter_map(|l| l.strip_prefix("# TYPE ")).collect();
    assert_eq!(types.len(), 12, "{types:#?}");
    for metric in types.iter().filter_map(|rest| rest.split(' ').next()) {
        assert!(text.contains(&format!("# HELP {metric} ")), "{metric} has no help");
    }
}

#[test]
fn a_limit_shows_from_the_first_event_on() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let bound = MetricsObserver::new().bind("bulkhead", "db").unwrap();
    // Before there is a recorder, as where the layers are built first.
    bound.on_limit(64);
    let event = |kind| Event { layer: "bulkhead", name: "db", kind, stage: Stage::Arriving };
    let limit = |value| format!(r#"buttress_limit{{layer="bulkhead",name="db"}} {value}"#);
    ::metrics::with_local_recorder(&recorder, || {
        bound.on_event(&event(ADMITTED));
        assert!(recorder.handle().render().contains(&limit(64)));
        bound.on_event(&event(EventKind::LimitChanged { from: 64, to: 8 }));
        bound.on_event(&event(ADMITTED));
        assert!(recorder.handle().render().contains(&limit(8)));
    });
}

#[test]
fn clones_and_layers_of_one_name_add_up_and_unbound_events_count() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let event = Event { layer: "retry", name: "db", kind: ADMITTED, stage: Stage::Arriving };
    ::metrics::with_local_recorder(&recorder, || {
        let observer = MetricsObserver::new();
        observer.bind("retry", "db").unwrap().on_event(&event);
        observer.clone().bind("retry", "db").unwrap().on_event(&event);
        observer.on_event(&event);
    });
    let text = recorder.handle().render();
    assert!(text.contains(r#"buttress_in_flight{layer="retry",name="db"} 3"#), "{text}");
}

#[test]
fn a_family_keeps_each_label_once_and_counts_beyond_its_capacity() {
    let made = std::cell::RefCell::new(Vec::new());
    let family = Family::<_, 2>::default();
    for label in ["a", "b", "a", "b", "c", "c"] {
        family.increment(label, |label| {
            made.borrow_mut().push(label);
            Counter::noop()
        });
    }
    assert_eq!(made.into_inner(), ["a", "b", "c", "c"]);
}
