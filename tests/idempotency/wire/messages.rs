//! Messages of HTTP/1.1 in all their forms.

use axum::Router;
use axum::routing::post;
use buttress::idempotency::{IdempotencyLayer, MemoryStore};
use http::Request;
use tower::ServiceExt;

use super::{Shop, is_replay, lasting, order};

#[tokio::test]
async fn a_replay_is_the_same_byte_for_byte() {
    let shop = Shop::open().await;
    shop.go_on(1);
    let first = shop.says_to(&order("k")).await;
    let again = shop.says_to(&order("k")).await;
    assert!(!is_replay(&first) && is_replay(&again), "{first}\n{again}");
    assert_eq!(sorted(&again), sorted(&first));
}

/// The head in the order of its lines, and the body as it is: where the lines of the head stand
/// among each other means nothing.
fn sorted(said: &str) -> (Vec<String>, String) {
    let said = lasting(said);
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    let mut head: Vec<_> = head.split("\r\n").map(str::to_owned).collect();
    head.sort();
    (head, body.to_owned())
}

#[tokio::test]
async fn trailers_of_an_answer_are_replayed() {
    let shop = Shop::open().await;
    let request = "POST /streams HTTP/1.1\r\nhost: shop\r\nidempotency-key: k\r\nte: trailers\r\n\
                   content-length: 0\r\nconnection: close\r\n\r\n";
    let first = shop.says_to(request).await;
    let again = shop.says_to(request).await;
    assert!(!is_replay(&first) && is_replay(&again), "{first}\n{again}");
    for said in [&first, &again] {
        assert!(said.ends_with("\r\n0\r\nx-sum: 7\r\n\r\n"), "{said}");
        assert!(said.contains("onetwothree"), "{said}");
    }
    assert_eq!(sorted(&again), sorted(&first));
}

#[tokio::test]
async fn a_chunked_request_is_the_one_of_declared_length_and_its_trailers_arrive() {
    let shop = Shop::open().await;
    shop.go_on(1);
    let chunked = "POST /orders HTTP/1.1\r\nhost: shop\r\nidempotency-key: k\r\n\
                   transfer-encoding: chunked\r\ntrailer: x-sum\r\nconnection: close\r\n\r\n\
                   1\r\nt\r\n2\r\nea\r\n0\r\nx-sum: 7\r\n\r\n";
    let first = shop.says_to(chunked).await;
    assert!(first.contains("x-sum: 7\r\n") && first.ends_with("\r\n\r\ntea"), "{first}");
    for same in [chunked, &order("k")] {
        let again = shop.says_to(same).await;
        assert!(is_replay(&again), "{again}");
        assert_eq!(sorted(&again), sorted(&first));
    }
    let other = shop.says_to(&chunked.replace("ea", "oa")).await;
    assert!(other.starts_with("HTTP/1.1 422 "), "{other}");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let shop = Shop::open().await;
    shop.go_on(2);
    let kept = |key| order(key).replace("connection: close\r\n", "");
    let all = format!("{}{}{}{}", kept("a"), kept("a"), kept("b"), order("a"));
    let said = shop.says_to(&all).await;
    let answers: Vec<_> = said.split("HTTP/1.1 ").skip(1).collect();
    assert_eq!(answers.len(), 4, "{said}");
    assert!(answers.iter().all(|answer| answer.starts_with("201 ") && answer.ends_with("tea")));
    let replays: Vec<_> = answers.iter().map(|answer| is_replay(answer)).collect();
    assert_eq!(replays, [false, true, false, true]);
    for (answer, order) in answers.iter().zip([1, 1, 2, 1]) {
        assert!(answer.contains(&format!("location: /orders/{order}\r\n")), "{answer}");
    }
}

#[tokio::test]
async fn a_request_that_is_too_long_is_refused_by_its_header() {
    let shop = Shop::open().await;
    // Nothing of the body is ever sent.
    let long = order("k").replace("content-length: 3", "content-length: 9999999");
    let refused = shop.says_to(long.strip_suffix("tea").unwrap()).await;
    assert!(refused.starts_with("HTTP/1.1 413 "), "{refused}");
    assert!(refused.contains("content-type: application/problem+json\r\n"));
}

/// Nested routers take their prefixes off the path; the client's is another operation all the same.
#[tokio::test]
async fn the_same_key_under_two_nested_routers_is_two_records() {
    let store = MemoryStore::builder().single_instance().build();
    let layer = IdempotencyLayer::builder(store).unscoped().build();
    let nested = |name: &'static str| {
        Router::new().route("/orders", post(async move || name)).layer(layer.clone())
    };
    let app = Router::new().nest("/tea", nested("tea")).nest("/coffee", nested("coffee"));
    for (path, replayed) in [("tea", false), ("coffee", false), ("tea", true), ("coffee", true)] {
        let request = Request::post(format!("/{path}/orders")).header("idempotency-key", "k");
        let response = app.clone().oneshot(request.body(axum::body::Body::empty()).unwrap());
        let response = response.await.unwrap();
        assert_eq!(response.headers().contains_key("idempotency-replayed"), replayed, "{path}");
        let body = axum::body::to_bytes(response.into_body(), 100).await.unwrap();
        assert_eq!(body, path);
    }
}
