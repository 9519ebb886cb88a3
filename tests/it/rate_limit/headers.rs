//! What callers are told over HTTP.

use std::convert::Infallible;

use buttress::http::{RateLimitHeadersLayer, respond};
use buttress::rate_limit::RateLimitLayer;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use sfv::Parser;
use tokio::time::advance;
use tower::{Layer, Service, ServiceBuilder, service_fn};

use super::{HOUR, MS, SECOND};
use crate::support::{panics, ready};

type Body = Full<&'static [u8]>;

fn request(tenant: &str) -> Request<Body> {
    Request::builder().header("tenant", tenant).body(Body::default()).unwrap()
}

async fn inner(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::default()))
}

/// The status and the two headers of the next answer.
async fn told<S, B>(service: &mut S, tenant: &str) -> (StatusCode, String, String)
where
    S: Service<Request<Body>, Response = Response<B>, Error: std::fmt::Debug>,
{
    let answer = ready(service).call(request(tenant)).await.unwrap();
    let header = |name| {
        let values = answer.headers().get_all(name).iter();
        let values: Vec<_> = values.map(|value| value.to_str().unwrap()).collect();
        values.join(", ")
    };
    for name in ["ratelimit-policy", "ratelimit"] {
        assert!(Parser::new(&header(name)).parse::<sfv::List>().is_ok(), "{}", header(name));
    }
    (answer.status(), header("ratelimit-policy"), header("ratelimit"))
}

#[tokio::test(start_paused = true)]
async fn answers_and_refusals_say_what_is_left_and_when_there_is_more() {
    let limit = RateLimitLayer::builder().per(60, 60 * SECOND).burst(2).build();
    let mut service = ServiceBuilder::new()
        .layer(RateLimitHeadersLayer::new(&limit))
        .layer(respond(limit))
        .service(service_fn(inner));
    let policy = r#""default";q=60;w=60"#.to_owned();
    for (status, left) in [(200, "r=1;t=1"), (200, "r=0;t=1"), (429, "r=0;t=1")] {
        let status = StatusCode::from_u16(status).unwrap();
        let left = format!(r#""default";{left}"#);
        assert_eq!(told(&mut service, "acme").await, (status, policy.clone(), left));
    }
    advance(HOUR).await;
    let (.., left) = told(&mut service, "acme").await;
    assert_eq!(left, r#""default";r=1;t=1"#);
}

#[tokio::test(start_paused = true)]
async fn each_key_is_told_of_its_own_and_none_is_named() {
    let limit = RateLimitLayer::builder()
        .per(3, 1500 * MS)
        .burst(2)
        .key_ref(|request: &Request<Body>| &request.headers()["tenant"])
        .build();
    let layer = RateLimitHeadersLayer::named("tenant", &limit);
    let mut service = layer.layer(respond(limit).layer(service_fn(inner)));
    told(&mut service, "acme").await;
    let (_, policy, left) = told(&mut service, "acme").await;
    assert_eq!((policy.as_str(), left.as_str()), (r#""tenant";q=3"#, r#""tenant";r=0;t=1"#));
    assert_eq!(told(&mut service, "umbrella").await.2, r#""tenant";r=1;t=1"#);
    assert!(!format!("{layer:?}{service:?}").contains("acme"));
}

#[tokio::test(start_paused = true)]
async fn several_rate_limits_are_told_of_side_by_side() {
    let (fast, slow) = (RateLimitLayer::new(9), RateLimitLayer::builder().per(5, HOUR).build());
    let free = RateLimitLayer::new(4);
    let mut service = ServiceBuilder::new()
        .layer(RateLimitHeadersLayer::named("hour", &slow))
        .layer(RateLimitHeadersLayer::named("second", &fast))
        .layer(RateLimitHeadersLayer::named("unused", &free))
        .layer(respond(ServiceBuilder::new().layer(slow).layer(fast)))
        .service(service_fn(inner));
    let (_, policy, left) = told(&mut service, "acme").await;
    assert_eq!(policy, r#""unused";q=4;w=1, "second";q=9;w=1, "hour";q=5;w=3600"#);
    assert_eq!(left, r#""unused";r=4, "second";r=8;t=1, "hour";r=4;t=720"#);
}

#[test]
fn a_policy_has_a_name_that_fits_in_a_header() {
    let limit = RateLimitLayer::new(1);
    for name in ["", "a b", "a\"b", "a\\b", "ä", "a\n"] {
        let said = panics(|| RateLimitHeadersLayer::named(name, &limit));
        assert!(said.contains("not a name of a policy"), "{said}");
    }
}
