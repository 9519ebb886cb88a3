//! `KeyLayer` and `IdempotencyKey`.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};

use allocation_counter::measure;
use buttress::idempotency::{IdempotencyKey, KeyLayer};
use http::{HeaderName, Method, Request, Response};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{Seen, ask, is_quoted_uuid, is_uuid};

/// Sends the requests through one service of the layer, and says what arrived.
async fn sent(layer: KeyLayer, requests: impl IntoIterator<Item = Request<&'static str>>) -> Seen {
    let seen = Seen::default();
    let server = service_fn(|request: Request<&'static str>| {
        seen.note(request.headers());
        async { Ok::<_, Infallible>(Response::new(())) }
    });
    let mut client = layer.layer(server);
    for request in requests {
        client.ready().await.unwrap().call(request).await.unwrap();
    }
    drop(client);
    seen
}

fn with_key(mut request: Request<&'static str>, key: &str) -> Request<&'static str> {
    request.extensions_mut().insert(IdempotencyKey::new(key).unwrap());
    request
}

fn with_header(mut request: Request<&'static str>, value: &str) -> Request<&'static str> {
    request.headers_mut().append("idempotency-key", value.parse().unwrap());
    request
}

#[tokio::test]
async fn post_and_patch_get_a_quoted_uuid_and_nothing_else_gets_a_key() {
    let methods = ["POST", "PATCH", "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PURGE"];
    let keys = sent(KeyLayer::new(), methods.map(ask)).await.keys();
    let (keyed, plain) = keys.split_at(2);
    assert!(keyed.iter().all(|key| is_quoted_uuid(key)), "{keyed:?}");
    assert!(plain.iter().all(String::is_empty), "{plain:?}");
}

#[tokio::test]
async fn every_request_has_a_key_of_its_own() {
    let keys = sent(KeyLayer::new(), (0..100).map(|_| ask("POST"))).await.keys();
    assert_eq!(keys.iter().collect::<HashSet<_>>().len(), 100);
}

#[tokio::test]
async fn no_key_stays_with_a_clone_of_the_client() {
    let seen = Seen::default();
    let server = service_fn(|request: Request<&'static str>| {
        seen.note(request.headers());
        async { Ok::<_, Infallible>(Response::new(())) }
    });
    let layer = KeyLayer::new();
    let first = layer.layer(server);
    for client in [first.clone(), first, layer.layer(server)] {
        client.oneshot(ask("POST")).await.unwrap();
    }
    assert_eq!(seen.keys().iter().collect::<HashSet<_>>().len(), 3);
}

#[tokio::test]
async fn the_methods_can_be_chosen() {
    let layer = KeyLayer::new().methods([Method::PUT, Method::DELETE]);
    let keys = sent(layer, ["PUT", "DELETE", "POST"].map(ask)).await.keys();
    assert!(is_quoted_uuid(&keys[0]) && is_quoted_uuid(&keys[1]), "{keys:?}");
    assert_eq!(keys[2], "");
}

#[tokio::test]
async fn a_header_of_the_callers_own_stays_as_it_is() {
    for own in ["\"mine\"", "mine", "", "\"", "a, b"] {
        let requests =
            [with_header(ask("POST"), own), with_key(with_header(ask("POST"), own), "another")];
        assert_eq!(sent(KeyLayer::new(), requests).await.keys(), [own, own]);
    }
    let twice = with_header(with_header(ask("POST"), "a"), "b");
    let seen = sent(KeyLayer::new(), [twice]).await;
    assert_eq!(seen.0.lock().unwrap()[0].get_all("idempotency-key").iter().count(), 2);
}

#[tokio::test]
async fn a_key_in_the_extensions_is_written_whatever_the_method() {
    let requests = ["POST", "PUT"].map(|method| with_key(ask(method), "order-8712"));
    assert_eq!(sent(KeyLayer::new(), requests.clone()).await.keys(), ["\"order-8712\""; 2]);
    assert_eq!(sent(KeyLayer::new().bare(), requests).await.keys(), ["order-8712"; 2]);
}

#[tokio::test]
async fn a_bare_key_has_no_quotes() {
    let keys = sent(KeyLayer::new().bare(), [ask("POST")]).await.keys();
    assert!(is_uuid(&keys[0]), "{keys:?}");
}

#[tokio::test]
async fn the_header_can_be_another() {
    for layer in [
        KeyLayer::new().header("X-Request-Key"),
        KeyLayer::new().header(HeaderName::from_static("x-request-key")),
    ] {
        let own = with_header(ask("POST"), "of another meaning");
        let seen = sent(layer, [ask("POST"), own]).await;
        assert!(seen.values("x-request-key").iter().all(|key| is_quoted_uuid(key)));
        assert_eq!(seen.keys(), ["", "of another meaning"]);
    }
}

#[test]
#[should_panic(expected = "the name of a header")]
fn a_header_that_http_does_not_allow_is_refused() {
    let _ = KeyLayer::new().header("idempotency key");
}

#[tokio::test]
async fn keys_can_come_from_a_generator() {
    let count = AtomicU32::new(0);
    let layer = KeyLayer::new().generator(move || count.fetch_add(1, Ordering::Relaxed));
    let requests =
        [ask("POST"), ask("GET"), with_key(ask("POST"), "own"), with_header(ask("POST"), "own")];
    let keys = sent(layer.clone(), requests).await.keys();
    assert_eq!(keys, ["\"0\"", "", "\"own\"", "own"]);
    assert_eq!(sent(layer.bare(), [ask("POST")]).await.keys(), ["1"], "asked where it is needed");
}

#[tokio::test]
async fn a_generator_of_no_keys_panics_without_showing_what_it_made() {
    for made in ["", "pay 42", "\"quoted\""] {
        let layer = KeyLayer::new().generator(move || made);
        let panic = tokio::spawn(async move { sent(layer, [ask("POST")]).await.keys() });
        let panic = panic.await.unwrap_err().into_panic();
        let message = panic.downcast_ref::<String>().unwrap();
        assert!(message.contains("a generator makes idempotency keys"), "{message}");
        assert!(made.is_empty() || !message.contains(made), "{message}");
    }
}

#[test]
fn a_key_is_1_to_255_characters_that_can_be_written_in_both_forms() {
    for text in ["k", "order-8712", "!#$%&'()*+-./:<=>?@[]^_`{|}~", &"k".repeat(255)] {
        assert!(IdempotencyKey::new(text).is_ok(), "{text}");
    }
    let long = "k".repeat(256);
    for text in
        ["", " ", "a b", "a\"b", "\"a\"", "a,b", "a;b", "a\\b", "a\tb", "a\u{7f}", "\u{e9}", &long]
    {
        let error = IdempotencyKey::new(text).unwrap_err();
        let said = format!("{error} {error:?}");
        assert!(text.len() < 3 || !said.contains(text), "{said}");
    }
}

#[tokio::test]
async fn no_debug_output_shows_a_key() {
    let key = IdempotencyKey::new("order-8712").unwrap();
    let layer = KeyLayer::new().generator(|| "order-8712");
    let seen = sent(layer.clone(), [ask("POST"), with_key(ask("POST"), "order-8712")]).await;
    assert_eq!(seen.keys(), ["\"order-8712\""; 2]);
    let headers = seen.0.lock().unwrap().clone();
    let said = format!("{key:?} {layer:?} {:?} {headers:?}", layer.layer(()));
    assert!(!said.contains("8712"), "{said}");
}

#[test]
fn nothing_is_allocated_but_the_value_of_the_header() {
    let service = service_fn(|request: Request<&'static str>| {
        std::future::ready(Ok::<_, Infallible>(request))
    });
    let mut client = KeyLayer::new().layer(service);
    let mut room = ask("POST");
    room.headers_mut().reserve(1);
    let allocations = measure(|| drop(client.call(room))).count_total;
    assert_eq!(allocations, 1);
    let get = ask("GET");
    assert_eq!(measure(|| drop(client.call(get))).count_total, 0);
}
