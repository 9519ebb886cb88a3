//! Which outcomes are kept, and what becomes of all others.

use buttress::idempotency::{Body, Disposition, OutcomePolicy};
use http::{Request, Response};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{Answer, Runs, Sent, answer, call, memory, panic_of, post, shop, state, unscoped};

const RELEASED: [u16; 9] = [401, 403, 407, 408, 421, 423, 425, 426, 429];

#[tokio::test(start_paused = true)]
async fn each_status_is_stored_or_released_as_the_table_says() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).build();
    let echo = shop(&layer, &runs, async |work| answer(work.body.parse().unwrap(), "said"));
    for code in (200..=599).filter(|code| *code != 204 && *code != 304) {
        let [key, body] = [format!("k{code}"), code.to_string()];
        let before = runs.started();
        call(&echo, post(&key, &body)).await.is_own(code, "said");
        let again = call(&echo, post(&key, &body)).await;
        let stored = code < 500 && !RELEASED.contains(&code);
        assert_eq!(again.is_replay(), stored, "{code}");
        assert_eq!(runs.started() - before, if stored { 1 } else { 2 }, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_release_the_key_is_as_good_as_new() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).build();
    let service = shop(&layer, &runs, async |work| match work.run {
        1 => answer(500, "failed"),
        _ => answer(201, &work.body),
    });
    call(&service, post("k", "one")).await.is_own(500, "failed");
    assert_eq!(state(&store).await, None);
    // Another body, since nothing is known of the first.
    call(&service, post("k", "two")).await.is_own(201, "two");
    call(&service, post("k", "one")).await.is_refused(422, "fingerprint_mismatch");
}

#[tokio::test(start_paused = true)]
async fn store_everything_runs_once_whatever_comes_of_it() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).outcome(OutcomePolicy::store_everything()).build();
    let service = shop(&layer, &runs, async |work| match &*work.body {
        "panic" => panic!("boom"),
        code => answer(code.parse().unwrap(), "said"),
    });
    for code in [500, 503, 429, 401] {
        let [key, body] = [format!("k{code}"), code.to_string()];
        call(&service, post(&key, &body)).await.is_own(code, "said");
        call(&service, post(&key, &body)).await.is_replayed(code, "said");
    }
    panic_of(call(&service, post("p", "panic"))).await;
    call(&service, post("p", "panic")).await.is_refused(409, "outcome_unknown");
    assert_eq!(runs.started(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_policy_of_ones_own_judges_by_status_and_headers() {
    let (store, runs) = (memory(), Runs::default());
    let policy = OutcomePolicy::new(|status, headers| match headers.get("x-say") {
        Some(value) if value == "tombstone" => Disposition::Tombstone,
        Some(_) => Disposition::Indeterminate,
        None if status == 500 => Disposition::Store,
        None => Disposition::Release,
    });
    let layer = unscoped(&store).outcome(policy.on_panic(Disposition::Indeterminate)).build();
    let service = shop(&layer, &runs, async |work| {
        let mut response = answer(if work.body == "500" { 500 } else { 200 }, "said");
        match &*work.body {
            "panic" => panic!("boom"),
            "500" | "200" => {}
            say => drop(response.headers_mut().insert("x-say", say.parse().unwrap())),
        }
        response
    });
    for (body, status, code) in [
        ("500", 500, None),
        ("200", 200, None),
        ("tombstone", 409, Some("result_unavailable")),
        ("unknown", 409, Some("outcome_unknown")),
    ] {
        call(&service, post(body, body)).await;
        let again = call(&service, post(body, body)).await;
        assert_eq!((again.status, again.code()), (status, code), "{body}");
        assert_eq!(again.is_replay(), body == "500");
    }
    panic_of(call(&service, post("p", "panic"))).await;
    call(&service, post("p", "panic")).await.is_refused(409, "outcome_unknown");
}

#[tokio::test(start_paused = true)]
async fn the_handler_has_the_last_word() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).build();
    let service = shop(&layer, &runs, async |work| {
        let (code, disposition) = match &*work.body {
            "store" => (500, Disposition::Store),
            "release" => (201, Disposition::Release),
            "unknown" => (201, Disposition::Indeterminate),
            _ => (201, Disposition::Tombstone),
        };
        let mut response = answer(code, "said");
        response.extensions_mut().insert(disposition);
        response
    });
    for (body, first, second, code) in [
        ("store", 500, 500, None),
        ("release", 201, 201, None),
        ("unknown", 201, 409, Some("outcome_unknown")),
        ("tombstone", 201, 409, Some("result_unavailable")),
    ] {
        call(&service, post(body, body)).await.is_own(first, "said");
        let again = call(&service, post(body, body)).await;
        assert_eq!((again.status, again.code()), (second, code), "{body}");
        assert_eq!(again.is_replay(), body == "store");
    }
    assert_eq!(runs.started(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_service_passes_untouched_and_releases() {
    let store = memory();
    let runs = Runs::default();
    let counted = runs.clone();
    let inner = service_fn(move |_: Request<Body<Sent>>| {
        let run = counted.start();
        async move { if run == 1 { Err("broken") } else { Ok(answer(201, "ran")) } }
    });
    let service = unscoped(&store).build().layer(inner);
    assert_eq!(service.clone().oneshot(post("k", "")).await.unwrap_err(), "broken");
    assert_eq!(state(&store).await, None);
    let second = service.clone().oneshot(post("k", "")).await.unwrap();
    Answer::of(second).await.is_own(201, "ran");
    assert_eq!(runs.started(), 2);

    let policy = OutcomePolicy::store_everything();
    let broken = service_fn(async |_: Request<Body<Sent>>| Err::<Response<Sent>, _>("broken"));
    let service = unscoped(&store).namespace("all").outcome(policy).build().layer(broken);
    assert_eq!(service.clone().oneshot(post("k", "")).await.unwrap_err(), "broken");
    let second = service.oneshot(post("k", "")).await.unwrap();
    Answer::of(second).await.is_refused(409, "outcome_unknown");
}

/// It has not been sent, whatever the policy says of what has.
#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_releases_under_every_policy() {
    #[derive(Clone)]
    struct Broken;
    impl Service<Request<Body<Sent>>> for Broken {
        type Response = Response<Sent>;
        type Error = &'static str;
        type Future = std::future::Ready<Result<Response<Sent>, &'static str>>;
        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), &'static str>> {
            std::task::Poll::Ready(Err("broken"))
        }
        fn call(&mut self, _: Request<Body<Sent>>) -> Self::Future {
            unreachable!("it is not ready")
        }
    }
    let store = memory();
    let layer = unscoped(&store).outcome(OutcomePolicy::store_everything()).build();
    let service = layer.layer(Broken);
    assert_eq!(service.oneshot(post("k", "")).await.unwrap_err(), "broken");
    assert_eq!((state(&store).await, layer.handle().in_flight()), (None, 0));
}
