//! What the identity of a request says: whether it is protected, and what it is the same as.

use buttress::Error;
use buttress::idempotency::{
    Fingerprint, KeyError, MemoryStore, OpIdentity, OperationError, OperationLayer, Scope,
};
use tower::{Layer, Service};

use super::{Order, Orders, Shop, Texts, builder, once, order, said, send};

#[tokio::test(start_paused = true)]
async fn the_same_key_for_another_request_is_refused_also_while_the_first_one_runs() {
    let shop = Shop::counting();
    let service = once(&shop);
    let coffee = Order { item: "coffee", ..order("a") };
    let (own, other) = tokio::join!(send(&service, order("a")), send(&service, coffee.clone()));
    assert_eq!(said(own), ("order 1".to_owned(), false));
    assert!(matches!(other, Err(OperationError::FingerprintMismatch)), "{other:?}");
    let later = send(&service, coffee).await;
    assert!(matches!(later, Err(OperationError::FingerprintMismatch)), "{later:?}");
    assert_eq!(shop.orders(), 1);
}

#[tokio::test(start_paused = true)]
async fn scopes_operations_and_namespaces_are_apart() {
    let (shop, store) = (Shop::counting(), MemoryStore::new());
    let service = |namespace: &str| {
        OperationLayer::builder(store.clone(), Orders, Texts)
            .namespace(namespace)
            .build()
            .layer(shop.clone())
    };
    let (here, there) = (service("here"), service("there"));
    let first = said(send(&here, order("a")).await);
    let tenant = said(send(&here, Order { tenant: "tenant-8", ..order("a") }).await);
    let op = said(send(&here, Order { op: "cancel", ..order("a") }).await);
    let namespace = said(send(&there, order("a")).await);
    for (number, (text, replayed)) in [first, tenant, op, namespace].into_iter().enumerate() {
        assert_eq!((text, replayed), (format!("order {}", number + 1), false));
    }
    assert!(said(send(&service("here"), order("a")).await).1, "the same again");
}

#[tokio::test(start_paused = true)]
async fn another_secret_makes_other_records_and_another_answer_to_what_is_the_same() {
    let (shop, store) = (Shop::counting(), MemoryStore::new());
    for (secret, expected) in
        [(None, false), (Some("one"), false), (Some("two"), false), (Some("one"), true)]
    {
        let builder = OperationLayer::builder(store.clone(), Orders, Texts);
        let builder = match secret {
            Some(secret) => builder.secret(secret),
            None => builder,
        };
        let service = builder.build().layer(shop.clone());
        assert_eq!(said(send(&service, order("a")).await).1, expected, "{secret:?}");
        let mismatch = send(&service, Order { item: "coffee", ..order("a") }).await;
        assert!(matches!(mismatch, Err(OperationError::FingerprintMismatch)), "{mismatch:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_identity_passes_unprotected() {
    let shop = Shop::counting();
    let layer = builder().build();
    let service = layer.layer(shop.clone());
    for number in 1..=2 {
        let mut passing = Box::pin(send(&service, Order { key: Ok(None), ..order("a") }));
        assert!(futures::poll!(&mut passing).is_pending());
        assert_eq!(layer.handle().in_flight(), 0, "no task runs it");
        assert_eq!(said(passing.await), (format!("order {number}"), false));
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_identity_can_be_refused() {
    let shop = Shop::counting();
    let service = builder().require_key(true).build().layer(shop.clone());
    let answer = send(&service, Order { key: Ok(None), ..order("a") }).await;
    assert!(matches!(answer, Err(OperationError::KeyMissing)), "{answer:?}");
    assert_eq!(said(send(&service, order("a")).await).0, "order 1");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_makes_no_sense_is_refused() {
    let shop = Shop::counting();
    let service = once(&shop);
    for (key, expected) in
        [(Err(KeyError::Malformed), KeyError::Malformed), (Ok(Some("")), KeyError::Empty)]
    {
        let answer = send(&service, Order { key, ..order("a") }).await;
        let Err(OperationError::KeyInvalid(error)) = answer else { panic!("{answer:?}") };
        assert_eq!(error, expected);
    }
    assert_eq!(shop.orders(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_scope_that_nobody_filled_in_is_refused() {
    let shop = Shop::counting();
    let answer = send(&once(&shop), Order { tenant: "", ..order("a") }).await;
    assert!(matches!(answer, Err(OperationError::ScopeMissing)), "{answer:?}");
    assert_eq!(shop.orders(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_closure_can_say_what_a_request_is() {
    let identify = |order: &Order| {
        let key = [order.tenant, order.item].concat();
        Ok(Some(OpIdentity::new(Scope::new("all"), "place", key, Fingerprint::of(""))))
    };
    let shop = Shop::counting();
    let service = OperationLayer::new(MemoryStore::new(), identify, Texts).layer(shop.clone());
    // The keys that the orders have themselves are of no interest.
    assert!(!send(&service, order("a")).await.unwrap().replayed());
    assert!(send(&service, order("b")).await.unwrap().replayed());
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    use std::time::Duration;
    let refused = [
        builder().secret(""),
        builder().max_in_flight(0),
        builder().max_attempts(0),
        builder().lease(Duration::from_secs(5)),
        builder().retention(Duration::from_secs(59)),
        builder().max_execution(Duration::from_secs(59)),
        builder().store_timeout(Duration::ZERO),
    ];
    let settings = refused.map(|builder| builder.try_build().unwrap_err().setting());
    let expected = [
        "secret",
        "max_in_flight",
        "max_attempts",
        "lease",
        "retention",
        "max_execution",
        "store_timeout",
    ];
    assert_eq!(settings, expected.map(|setting| format!("idempotency.{setting}")));
}

#[tokio::test(start_paused = true)]
async fn debug_shows_no_key_and_no_scope() {
    let identity =
        OpIdentity::new(Scope::new("tenant-7"), "place", "key-8712", Fingerprint::of("tea"));
    let layer = builder().secret("key-8712").build();
    let service = layer.layer(());
    let error = send(&once(&Shop::counting()), Order { tenant: "", ..order("key-8712") }).await;
    let future = once(&Shop::counting()).call(order("key-8712"));
    let builder = builder().secret("key-8712");
    let said = format!("{identity:?} {layer:?} {service:?} {builder:?} {error:?} {future:?}");
    assert!(!said.contains("8712") && !said.contains("tenant"), "{said}");
    assert!(said.contains("place"), "{said}");
    let _: Error<_> = error.unwrap_err().into();
}
