use super::*;

/// A layer whose thousand calls took this many ms, once admitted and before.
fn layer(layer: &str, name: &str, latency: f64, wait: f64) -> Signals {
    let (layer, name) = (layer.to_owned(), name.to_owned());
    let (latency, wait) = (latency / 1e3, wait / 1e3);
    Signals { layer, name, calls: 1000.0, latency, wait, ..Signals::default() }
}

fn limited(mut signals: Signals, in_flight: f64, limit: f64) -> Signals {
    (signals.in_flight, signals.limit) = (in_flight, Some(limit));
    signals
}

fn refusing(mut signals: Signals, reason: &str, count: f64) -> Signals {
    signals.rejections.insert(reason.to_owned(), count);
    signals
}

/// A service: its limit, its workers, and what it calls.
fn service(wait: f64, workers: f64, remote: f64, in_flight: f64) -> Vec<Signals> {
    let inside = workers.max(remote);
    // Each layer takes a little, too.
    vec![
        layer("observe", "api", wait + inside + 0.03, 0.0),
        limited(layer("bulkhead", "http", inside + 0.02, wait), in_flight, 100.0),
        layer("timeout", "http", inside + 0.01, 0.0),
        layer("observe", "pool", workers, 0.0),
        layer("circuit_breaker", "stock", remote + 0.01, 0.0),
        limited(layer("bulkhead", "stock", remote, 0.0), 2.0, 50.0),
    ]
}

#[track_caller]
fn named(before: &[Signals], after: &[Signals], kind: Kind, name: &str) -> Diagnosis {
    let found = diagnose(before, after, &[before, after]).expect("a resource");
    assert_eq!((found.kind, found.name.as_str()), (kind, name), "{found:?}");
    found
}

fn idle() -> Vec<Signals> {
    service(0.0, 40.0, 5.0, 5.0)
}

#[test]
fn a_queue_that_grows_before_work_that_does_not_is_a_limit() {
    let found = named(&idle(), &service(150.0, 41.0, 5.0, 100.0), Kind::Limit, "http");
    assert_eq!(found.layer, "bulkhead");
    assert!(found.evidence.iter().any(|line| line.contains("100 % when it broke")), "{found:?}");
    // Not full on average, since the step had only begun to break.
    named(&idle(), &service(90.0, 41.0, 5.0, 80.0), Kind::Limit, "http");
}

#[test]
fn a_limit_that_only_refuses_is_found_by_its_refusals() {
    let mut after = service(0.0, 40.0, 5.0, 60.0);
    after[1] = refusing(after[1].clone(), "bulkhead_full", 5.0);
    named(&idle(), &after, Kind::Limit, "http");
    after[1].rejections.clear();
    after.push(refusing(layer("rate_limit", "tenants", 40.0, 0.0), "rate_limited", 5.0));
    named(&idle(), &after, Kind::Limit, "tenants");
}

#[test]
fn a_limit_that_is_full_is_named_where_its_line_shows_in_nothing_else() {
    // Whoever leaves the line before its turn is in no average.
    named(&idle(), &service(0.0, 40.0, 5.0, 95.0), Kind::Limit, "http");
    assert_eq!(diagnose(&idle(), &service(0.0, 40.0, 5.0, 94.0), &[]), None);
}

#[test]
fn work_that_takes_longer_is_the_workers_even_where_a_limit_around_it_has_filled() {
    named(&idle(), &service(0.0, 300.0, 5.0, 30.0), Kind::Workers, "pool");
    let mut after = service(100.0, 300.0, 5.0, 100.0);
    after[1] = refusing(after[1].clone(), "queue_timed_out", 50.0);
    named(&idle(), &after, Kind::Workers, "pool");
}

#[test]
fn the_innermost_of_those_that_became_slower_is_a_dependency_if_a_breaker_stands_before_it() {
    let found = named(&idle(), &service(0.0, 40.0, 300.0, 30.0), Kind::Dependency, "stock");
    assert!(found.resource().contains("`stock`"));
    let mut after = service(0.0, 40.0, 300.0, 30.0);
    after[4].states.insert("open".to_owned());
    let found = named(&idle(), &after, Kind::Dependency, "stock");
    assert!(found.evidence.iter().all(|line| !line.contains("NaN")), "{found:?}");
}

#[test]
fn the_limit_before_a_dependency_is_named_where_its_queue_is_what_grows() {
    let mut after = service(0.0, 40.0, 300.0, 30.0);
    after[5] = limited(layer("bulkhead", "stock", 5.0, 295.0), 50.0, 50.0);
    let found = named(&idle(), &after, Kind::Limit, "stock");
    assert_eq!(found.layer, "bulkhead");
}

#[test]
fn a_breaker_that_opens_on_quick_failures_is_named() {
    let mut after = idle();
    after[4].states.insert("open".to_owned());
    named(&idle(), &after, Kind::Breaker, "stock");
}

#[test]
fn a_layer_that_few_requests_reach_weighs_as_little() {
    // A hundred times slower, for one request in a hundred: 40 ms of the 300 that were added.
    let mut after = service(0.0, 340.0, 5.0, 30.0);
    let mut rare = layer("observe", "rare", 4_040.0, 0.0);
    rare.calls = 10.0;
    after.push(rare);
    let mut before = idle();
    before.push(layer("observe", "rare", 40.0, 0.0));
    named(&before, &after, Kind::Workers, "pool");
}

#[test]
fn a_step_in_which_a_watcher_seems_quicker_than_what_it_watches_is_outvoted() {
    let [before, mut after] = [idle(), service(0.0, 300.0, 5.0, 30.0)];
    let between = service(0.0, 60.0, 5.0, 6.0);
    after[2].latency = 0.2999;
    let found = diagnose(&before, &after, &[&before, &between, &after]).unwrap();
    assert_eq!(found.name, "pool");
    let alone = diagnose(&before, &after, &[&after]).unwrap();
    assert_eq!((alone.layer.as_str(), alone.name.as_str()), ("timeout", "http"));
}

#[test]
fn nothing_is_named_where_nothing_changed() {
    assert_eq!(diagnose(&idle(), &idle(), &[]), None);
    assert_eq!(diagnose(&[], &[], &[]), None);
    let noise = service(0.0, 42.0, 5.0, 40.0);
    assert_eq!(diagnose(&idle(), &noise, &[]), None, "2 ms are noise");
}
