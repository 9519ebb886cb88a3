//! The report of a simulation: as text, as JSON, and as a plot.

use std::time::Duration;

use buttress::LiftLayer;
use buttress::bulkhead::BulkheadLayer;
use buttress::observe::EventKind;
use buttress::sim::{Clients, Faults, Latency, Plan, Report, Server, Sim};
use serde_json::Value;
use tower::ServiceBuilder;

const SECOND: Duration = Duration::from_secs(1);

/// A storm in which every kind of end occurs: good, late, refused, failed, given up, unfinished.
fn storm(clients: &str, server: &str) -> Report {
    let plan = Plan::new(10 * SECOND)
        .server(server, Server::workers(10, Latency::exponential(SECOND / 20)).queue(120))
        .clients(
            clients,
            Clients::open(160.0).deadline(SECOND / 4).timeout(SECOND * 3 / 4).attempts(2),
        )
        .clients("patient", Clients::open(20.0).deadline(SECOND / 10).spike(3.0, SECOND, SECOND))
        .drain(Duration::ZERO)
        .faults(
            Faults::new()
                .slow(server, 10.0, 3 * SECOND, SECOND)
                .errors(server, 0.3, 2 * SECOND, 3 * SECOND)
                .lose_replies(server, 0.5, 6 * SECOND, SECOND)
                .crash(server, 7 * SECOND, SECOND / 2),
        );
    Sim::new(0x2a).run(&plan, |world| {
        let endpoint = world.server(server);
        let bulkhead = BulkheadLayer::builder(60).name("db").observe(world.observer()).build();
        let stack = ServiceBuilder::new().layer(bulkhead).layer(LiftLayer).service(endpoint);
        world.clients(clients, stack.clone());
        world.clients("patient", stack);
        world.sometimes("seen").happened();
        let _never = world.sometimes("never seen");
        world.idle("permits", || 3);
    })
}

/// What the plan cannot provoke is planted, so that no count is 0.
fn full_of_counts() -> Report {
    let mut report = storm("shop", "db");
    for (client, at) in report.clients.values_mut().zip(1..) {
        for count in
            [&mut client.late, &mut client.failed, &mut client.timed_out, &mut client.panicked]
        {
            *count += 700_001 + at;
        }
        client.unfinished += 800_001 + at;
        client.offered += 4 * (700_001 + at) + 800_001 + at;
    }
    let server = report.servers.get_mut("db").unwrap();
    (server.cancelled, server.unheard, server.unfinished) = (900_001, 900_002, 900_003);
    server.arrived += 900_001 + 900_003;
    report
}

#[test]
fn the_storm_is_one() {
    let report = storm("shop", "db");
    let shop = &report.clients["shop"];
    for count in [shop.good, shop.late, shop.failed, shop.timed_out, shop.refused["bulkhead_full"]]
    {
        assert!(count > 0, "{report}");
    }
    assert!(report.is_conserved(), "{report}");
}

#[test]
fn the_text_has_every_count() {
    let report = full_of_counts();
    let text = report.to_string();
    let row = |label: &str, count: u64| {
        let label: Vec<_> = label.split(' ').collect();
        let found = text.lines().any(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            words.starts_with(&label) && words[label.len()] == count.to_string()
        });
        assert!(found, "{label:?} {count} is not in\n{text}");
    };
    for client in report.clients.values() {
        row("offered", client.offered);
        row("good", client.good);
        row("late", client.late);
        row("refused", client.refused.values().sum());
        row("bulkhead_full", client.refused["bulkhead_full"]);
        row("failed", client.failed);
        row("given up", client.timed_out);
        row("panicked", client.panicked);
        row("unfinished", client.unfinished);
    }
    row("attempts", report.clients["shop"].attempts);
    let server = &report.servers["db"];
    row("attempts sent", server.sent);
    row("arrived", server.arrived);
    row("lost by the wire", server.cut);
    row("refused", server.refused);
    row("completed", server.completed);
    row("failed", server.failed);
    row("reset", server.reset);
    row("cancelled", server.cancelled);
    row("unheard", server.unheard);
    row("unfinished", server.unfinished);
    let refusals = report.events_of("db", |kind| matches!(kind, EventKind::Rejected(_)));
    row("rejected bulkhead_full", refusals);
    for part in [
        "seed 0x2a, 10s",
        &format!("{:#018x}", report.trace_hash),
        "db crashed from 7s to 7s 500ms",
        "patient sends 3 times as much from 1s to 2s",
        "BROKEN    leak: permits: 3 left at the end, not 0",
        "BROKEN    panic: 700003 requests of \"shop\" panicked",
        "1  \"seen\"",
        "0  \"never seen\"",
        "% of what was possible",
        "p99.9",
        "amplification",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn what_is_zero_takes_no_line_of_text() {
    let plan = Plan::new(SECOND)
        .server("db", Server::workers(10, Latency::fixed(SECOND / 100)))
        .clients("shop", Clients::open(50.0));
    let report = Sim::new(1).run(&plan, |world| {
        let db = world.server("db");
        world.clients("shop", db);
    });
    let text = report.to_string();
    for absent in ["late", "refused", "given up", "reset", "unheard", "BROKEN", "sometimes"] {
        assert!(!text.contains(absent), "{absent:?} is in\n{text}");
    }
    assert!(text.contains("well throughout"), "{text}");
    assert!(text.contains("each request ended exactly once"), "{text}");
}

#[test]
fn the_text_says_what_is_broken() {
    let mut report = storm("shop", "db");
    report.leaks.clear();
    report.servers.get_mut("db").unwrap().completed += 1;
    assert!(report.to_string().contains("BROKEN    conservation"), "{report}");

    let plan = Plan::new(SECOND)
        .server("db", Server::workers(1, Latency::fixed(SECOND / 100)))
        .clients("shop", Clients::open(50.0));
    let report = Sim::new(1).run(&plan, |world| {
        let db = world.server("db");
        world.always("five <b>", || Err("3 of 5".to_owned()));
        world.clients("shop", db);
    });
    assert!(report.to_string().contains("BROKEN    invariant \"five <b>\": 3 of 5, after event 1"));
    assert!(report.svg().contains("broken: five &lt;b&gt;"));
}

#[test]
fn the_json_adds_up() {
    let report = storm("shop", "db");
    let json: Value = serde_json::from_str(&report.json()).unwrap();
    assert_eq!(report.json(), serde_json::to_string(&report).unwrap());

    assert_eq!(json["seed"], "0x2a");
    assert_eq!(json["trace_hash"], format!("{:#018x}", report.trace_hash));
    assert_eq!(json["offered"], report.offered());
    assert_close(&json["goodput"], report.goodput());
    assert_close(&json["goodput_of_oracle"], report.goodput_of_oracle());
    assert_eq!(json["trigger"]["from"], "1s");
    assert_eq!(json["incidents"][4]["what"], "db crashed");
    assert_eq!(json["sound"], false);
    assert_eq!(json["conserved"], true);
    assert_eq!(json["leaks"]["permits"], 3);
    assert_eq!(json["sometimes"]["seen"], 1);
    let offered: f64 = json["oracle"].as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).sum();
    assert!(offered > 0.0 && offered <= number(&json["offered"]));

    for name in ["shop", "patient"] {
        let client = &json["clients"][name];
        let refused: u64 = client["refused"].as_object().unwrap().values().map(count).sum();
        let others = ["good", "late", "failed", "timed_out", "panicked", "unfinished"];
        let ended: u64 = others.iter().map(|end| count(&client[end])).sum();
        assert_eq!(ended + refused, count(&client["offered"]));
        for of in ["offered", "good"] {
            assert_eq!(sum(&client["series"][of]), count(&client[of]), "{name} {of}");
        }
        assert_eq!(sum(&client["series"]["refused"]), refused);
        assert!(number(&client["slowdown"]["p99"]) >= number(&client["slowdown"]["p50"]));
    }
    let server = &json["servers"]["db"];
    assert_eq!(sum(&server["series"]["sent"]), count(&server["sent"]));
    assert_eq!(sum(&server["series"]["completed"]), count(&server["completed"]));
    assert_close(&server["amplification"], report.amplification("db"));
}

#[test]
fn how_long_the_way_back_took_is_a_duration_or_null() {
    let recovered = |faults: Faults| {
        let plan = Plan::new(6 * SECOND)
            .server("db", Server::workers(10, Latency::fixed(SECOND / 100)))
            .clients("shop", Clients::open(100.0).deadline(SECOND / 10))
            .faults(faults);
        let report = Sim::new(1).run(&plan, |world| {
            let db = world.server("db");
            world.clients("shop", db);
        });
        let json: Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(report.svg().contains(">well again<"), json["recovered_after"] != Value::Null);
        json["recovered_after"].clone()
    };
    assert_eq!(recovered(Faults::new().crash("db", SECOND, SECOND)), "0s");
    assert_eq!(recovered(Faults::new().crash("db", 5 * SECOND, 2 * SECOND)), Value::Null);
}

#[test]
fn the_plot_is_well_formed_and_has_every_series() {
    let report = storm("shop", "db");
    let svg = report.svg();
    assert_well_formed(&svg);
    for label in [
        "offered",
        "refused by a layer",
        "good: in time",
        "best possible (oracle)",
        "its capacity",
        "requests/s",
        "attempts/s",
        "attempts in line",
        "simulated time, s",
        "db crashed",
        "patient sends 3 times as much",
    ] {
        assert!(svg.contains(&format!(">{label}<")), "{label:?} is not in the plot");
    }
    assert!(svg.contains("seed 0x2a"));
    assert_eq!(svg.matches("<polyline").count(), 4 + 3 + 1);
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "not a number");
}

#[test]
fn names_are_escaped_in_the_plot() {
    let report = storm("<shop> & \"co\"\u{1}", "d<b");
    let svg = report.svg();
    assert_well_formed(&svg);
    assert!(svg.contains("&lt;shop&gt; &amp; &quot;co&quot;\u{fffd}"));
    assert!(svg.contains(">d&lt;b<"));
    assert!(!svg.contains("<shop>"));
}

#[test]
fn an_empty_run_has_a_plot_too() {
    let report = Sim::new(1).run(&Plan::new(Duration::ZERO), |_| {});
    let svg = report.svg();
    assert_well_formed(&svg);
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    assert_eq!(serde_json::from_str::<Value>(&report.json()).unwrap()["offered"], 0);
    assert!(report.to_string().contains("of 0 requests"));
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Read back from decimals.
fn assert_close(value: &Value, wanted: f64) {
    assert!((number(value) - wanted).abs() < 1e-12, "{value} against {wanted}");
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

fn sum(values: &Value) -> u64 {
    values.as_array().unwrap().iter().map(count).sum()
}

/// Tags match, attributes are quoted, and no text holds what is markup.
fn assert_well_formed(xml: &str) {
    let mut open = Vec::new();
    for part in xml.split('<').skip(1) {
        let (tag, text) = part.split_once('>').expect("a tag ends");
        assert!(!text.contains('>') && entities_are_known(text), "markup in the text {text:?}");
        assert!(entities_are_known(tag) && tag.matches('"').count() % 2 == 0, "tag {tag:?}");
        assert!(!tag.chars().any(|c| c.is_control() && c != '\n'), "tag {tag:?}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "the innermost open tag");
        } else if !tag.ends_with('/') {
            open.push(tag.split_whitespace().next().unwrap());
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
}

fn entities_are_known(text: &str) -> bool {
    let known = ["amp;", "lt;", "gt;", "quot;"];
    text.split('&').skip(1).all(|rest| known.iter().any(|entity| rest.starts_with(entity)))
}
