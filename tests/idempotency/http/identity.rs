//! Under which record a request is filed, and what it is compared by.

use buttress::idempotency::{Fingerprinter, IdempotencyLayer, KeyScope, Scope};
use http::Request;
use http::header::IF_MATCH;

use super::{Runs, Sent, call, memory, plain, post, request, unscoped};
use crate::support::faulty::Op;

/// The tenant is in a header of the test's own.
fn tenants(
    store: &super::Memory,
) -> buttress::idempotency::Builder<super::Memory, buttress::idempotency::Scoped> {
    IdempotencyLayer::builder(store.clone())
        .scope(|parts| parts.headers.get("x-tenant").map(Scope::new))
}

fn of_tenant(tenant: &str, mut request: Request<Sent>) -> Request<Sent> {
    request.headers_mut().insert("x-tenant", tenant.parse().unwrap());
    request
}

#[tokio::test(start_paused = true)]
async fn tenants_never_see_each_other() {
    let (store, runs) = (memory(), Runs::default());
    let service = plain(&tenants(&store).build(), &runs);
    call(&service, of_tenant("a", post("k", "x"))).await.is_own(201, "run 1");
    call(&service, of_tenant("b", post("k", "x"))).await.is_own(201, "run 2");
    // Not even that the key is in use for something else.
    call(&service, of_tenant("c", post("k", "y"))).await.is_own(201, "run 3");
    call(&service, of_tenant("a", post("k", "x"))).await.is_replayed(201, "run 1");
}

#[tokio::test(start_paused = true)]
async fn no_scope_and_an_empty_one_are_refused() {
    let (store, runs) = (memory(), Runs::default());
    let service = plain(&tenants(&store).build(), &runs);
    call(&service, post("k", "x")).await.is_refused(403, "scope_missing");
    call(&service, of_tenant("", post("k", "x"))).await.is_refused(403, "scope_missing");
    assert_eq!((runs.started(), store.calls(Op::Begin)), (0, 0));
    // Nothing is asked of a request without a key.
    call(&service, request("POST", "/", None, "")).await.is_own(201, "run 1");
}

#[tokio::test(start_paused = true)]
async fn the_key_is_read_before_the_scope_and_the_scope_before_the_body() {
    let (store, runs) = (memory(), Runs::default());
    let service = plain(&tenants(&store).max_request_body(1).build(), &runs);
    call(&service, post("a,b", "long")).await.is_refused(400, "key_invalid");
    call(&service, post("k", "long")).await.is_refused(403, "scope_missing");
    call(&service, of_tenant("a", post("k", "long"))).await.is_refused(413, "request_too_large");
}

#[tokio::test(start_paused = true)]
async fn a_key_elsewhere_is_another_record_or_with_tenant_scope_a_mismatch() {
    let (store, runs) = (memory(), Runs::default());
    let service = plain(&unscoped(&store).build(), &runs);
    for (run, method, uri) in [(1, "POST", "/a"), (2, "POST", "/b"), (3, "PATCH", "/a")] {
        let own = call(&service, request(method, uri, Some("k"), "x")).await;
        own.is_own(201, &format!("run {run}"));
    }
    let tenant = unscoped(&store).key_scope(KeyScope::Tenant).namespace("other").build();
    let service = plain(&tenant, &runs);
    call(&service, request("POST", "/a", Some("k"), "x")).await.is_own(201, "run 4");
    call(&service, request("POST", "/a", Some("k"), "x")).await.is_replayed(201, "run 4");
    for (method, uri) in [("POST", "/b"), ("PATCH", "/a")] {
        let other = call(&service, request(method, uri, Some("k"), "x")).await;
        other.is_refused(422, "fingerprint_mismatch");
    }
}

#[tokio::test(start_paused = true)]
async fn namespaces_and_secrets_keep_records_apart() {
    let (store, runs) = (memory(), Runs::default());
    let layers = [
        unscoped(&store).build(),
        unscoped(&store).namespace("orders").build(),
        unscoped(&store).secret("one").build(),
        unscoped(&store).secret("two").build(),
    ];
    for (number, layer) in layers.iter().enumerate() {
        let own = call(&plain(layer, &runs), post("k", "x")).await;
        own.is_own(201, &format!("run {}", number + 1));
    }
    for (number, layer) in layers.iter().enumerate() {
        let same = call(&plain(layer, &runs), post("k", "x")).await;
        same.is_replayed(201, &format!("run {}", number + 1));
    }
}

#[tokio::test(start_paused = true)]
async fn the_fingerprint_is_query_type_encoding_and_body() {
    let (store, runs) = (memory(), Runs::default());
    let service = plain(&unscoped(&store).build(), &runs);
    let with = |uri: &str, headers: &[(&'static str, &str)], body: &str| {
        let mut request = request("POST", uri, Some("k"), body);
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        request
    };
    let first = with("/?a=1", &[("content-type", "text/plain")], "x");
    call(&service, first).await.is_own(201, "run 1");
    for other in [
        with("/?a=2", &[("content-type", "text/plain")], "x"),
        with("/", &[("content-type", "text/plain")], "x"),
        with("/?a=1", &[("content-type", "text/html")], "x"),
        with("/?a=1", &[], "x"),
        with("/?a=1", &[("content-type", "text/plain"), ("content-encoding", "gzip")], "x"),
        with("/?a=1", &[("content-type", "text/plain")], "x "),
    ] {
        call(&service, other).await.is_refused(422, "fingerprint_mismatch");
    }
    // What changes from one attempt to the next is not in it.
    let headers = [
        ("content-type", "text/plain"),
        ("authorization", "Bearer 2"),
        ("user-agent", "other"),
        ("date", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("traceparent", "00-1-1-01"),
        ("x-request-id", "2"),
        ("accept", "*/*"),
        ("accept-language", "de"),
        ("cookie", "a=2"),
        ("if-match", "2"),
    ];
    call(&service, with("/?a=1", &headers, "x")).await.is_replayed(201, "run 1");
}

#[tokio::test(start_paused = true)]
async fn more_headers_or_a_closure_can_be_the_fingerprint() {
    let (store, runs) = (memory(), Runs::default());
    let matched = |value: &str| {
        let mut request = post("k", "x");
        request.headers_mut().insert(IF_MATCH, value.parse().unwrap());
        request
    };
    let more = unscoped(&store).fingerprint(Fingerprinter::raw().header(IF_MATCH)).build();
    let service = plain(&more, &runs);
    call(&service, matched("1")).await.is_own(201, "run 1");
    call(&service, matched("2")).await.is_refused(422, "fingerprint_mismatch");

    let first = Fingerprinter::closure(|_, body| body[..1].to_vec());
    let service = plain(&unscoped(&store).namespace("b").fingerprint(first).build(), &runs);
    call(&service, post("k", "xa")).await.is_own(201, "run 2");
    call(&service, post("k", "xb")).await.is_replayed(201, "run 2");
    call(&service, post("k", "yb")).await.is_refused(422, "fingerprint_mismatch");
}
