//! What it tells, what it never shows, and what it will not be built with.

use buttress::keyed::{Config, Labels};
use buttress::observe::EventKind::{Rejected, WouldReject};
use tower::limit::ConcurrencyLimitLayer;

use super::*;
use crate::support::{Ledger, panics};

#[tokio::test(start_paused = true)]
async fn it_tells_of_what_it_refuses_itself() {
    let ledger = Ledger::default();
    let layer = builder(breaker).capacity(1).overflow(Overflow::Refuse).observe(ledger.clone());
    let mut service = layer.build().layer(mocked().0);
    ask(&mut service, "a", Ask::Fail(1)).await.unwrap_err();
    let refused = refusal(ask(&mut service, "b", Ask::Answer(1)).await);
    assert_eq!(refused.name(), Some("keyed"), "without a name it is called by its kind");
    assert_eq!(ledger.take("keyed"), [Rejected(Reason::Overloaded)]);
}

#[tokio::test(start_paused = true)]
async fn in_shadow_mode_it_tells_and_shares() {
    let ledger = Ledger::default();
    let layer = builder(breaker).capacity(1).overflow(Overflow::Refuse).shadow();
    let mut service = layer.observe(ledger.clone()).build().layer(mocked().0);
    ask(&mut service, "a", Ask::Fail(1)).await.unwrap_err();
    assert_eq!(ask(&mut service, "b", Ask::Answer(2)).await, Ok(2));
    assert_eq!(ledger.take("keyed"), [WouldReject(Reason::Overloaded)]);
    let shares = builder(breaker).capacity(1).shadow().observe(ledger.clone()).build();
    let mut service = shares.layer(mocked().0);
    for key in ["a", "b"] {
        ask(&mut service, key, Ask::Fail(1)).await.unwrap_err();
    }
    assert!(ledger.take("keyed").is_empty(), "who shares would refuse nobody");
}

#[tokio::test(start_paused = true)]
async fn there_are_never_more_names_than_there_may_be() {
    let ledger = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let (labels, seen) = (Labels::new(2, "others"), ledger.clone());
    let named = labels.clone();
    let layer = builder(move |key: &str| {
        let seen = seen.clone();
        BulkheadLayer::builder(0)
            .name(named.of(key))
            .observe(move |event: &buttress::observe::Event<'_>| {
                seen.lock().unwrap().push(event.name.to_owned());
            })
            .build()
    });
    let mut service = layer.capacity(1).build().layer(mocked().0);
    for key in ["a", "b", "c", "d", "a"] {
        ask(&mut service, key, Ask::Answer(1)).await.unwrap_err();
    }
    assert_eq!(*ledger.lock().unwrap(), ["a", "b", "others", "others", "a"]);
    assert_eq!(&*labels.of("b"), "b");
    assert_eq!(&*Labels::new(0, "any").of("a"), "any");
}

#[tokio::test(start_paused = true)]
async fn nothing_shows_a_key() {
    let layer = builder(breaker).build();
    let mut service = layer.layer(mocked().0);
    let future = call(&mut service, ("secret", Ask::Answer(1)));
    let labels = Labels::new(1, "others");
    let _ = labels.of("secret");
    let shown = format!("{:?} {layer:?} {service:?} {future:?} {labels:?}", layer.handle());
    assert!(shown.contains("Keyed") && !shown.contains("secret"), "{shown}");
    future.await.unwrap();
}

#[test]
fn nonsense_is_refused_by_try_build_and_build_panics_with_the_same_text() {
    let none = || builder(breaker).capacity(0);
    let text = "keyed.capacity is 0, allowed is 1 to 16,777,216";
    assert_eq!(none().try_build().unwrap_err().to_string(), text);
    assert_eq!(panics(|| none().build()), text);
    assert!(builder(breaker).capacity((1 << 24) + 1).try_build().is_err());
    assert!(builder(breaker).capacity(1 << 24).try_build().is_ok());
    let at_once = builder(breaker).idle(Duration::ZERO).try_build().unwrap_err();
    assert_eq!(at_once.to_string(), "keyed.idle is 0ns, allowed is longer than 0");
    builder(breaker).idle(Duration::MAX).build();
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let config = Config::default();
    assert_eq!((config.capacity, config.idle), (10_000, None));
    assert_eq!((config.overflow, config.shadow), (Overflow::Share, false));
}

#[tokio::test(start_paused = true)]
async fn an_error_that_is_no_refusal_passes_untouched() {
    let layer = builder(|_: &str| ConcurrencyLimitLayer::new(3)).build();
    let failed = ask(&mut layer.layer(mocked().0), "a", Ask::Fail(7)).await.unwrap_err();
    assert!(failed.rejected().is_none() && failed == Fault::Broken(7));
}
