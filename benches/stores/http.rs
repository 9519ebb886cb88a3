//! What the layer for HTTP costs a request over the memory store, against the same service without
//! it: in time, and in what it takes from the allocator.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::{Duration, Instant};

use ::http::{Method, Request, Response, StatusCode};
use allocation_counter::measure;
use buttress::idempotency::{IdempotencyLayer, MemoryStore};
use bytes::Bytes;
use http_body_util::Full;
use tokio::runtime::Runtime;
use tower::{Layer, Service, ServiceExt, service_fn};

type Sent = Request<Full<Bytes>>;

/// Requests of each kind in one round.
const ROUND: usize = 5_000;

/// One kind of request.
struct Case {
    name: &'static str,
    protected: bool,
    status: StatusCode,
    request: fn(usize, usize) -> Sent,
}

/// Answers at once, except to one path.
async fn handler<B>(request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() == "/held" {
        std::future::pending::<()>().await;
    }
    let mut response = Response::new(Full::new(Bytes::from_static(b"{\"order\":1}")));
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

fn request(method: Method, path: &str, key: &str) -> Sent {
    let request = Request::builder().method(method).uri(path).header("idempotency-key", key);
    request.body(Full::new(Bytes::from_static(b"{\"item\":\"teapot\"}"))).expect("a request")
}

const CASES: [Case; 5] = [
    Case {
        name: "without the layer",
        protected: false,
        status: StatusCode::CREATED,
        request: |_, _| request(Method::POST, "/orders", "order-0"),
    },
    Case {
        name: "passing through unprotected",
        protected: true,
        status: StatusCode::CREATED,
        request: |_, _| request(Method::GET, "/orders", "order-0"),
    },
    Case {
        name: "refused, in progress",
        protected: true,
        status: StatusCode::CONFLICT,
        request: |_, _| request(Method::POST, "/held", "held"),
    },
    Case {
        name: "replayed",
        protected: true,
        status: StatusCode::CREATED,
        request: |_, _| request(Method::POST, "/orders", "order-0"),
    },
    Case {
        name: "executed",
        protected: true,
        status: StatusCode::CREATED,
        request: |round, number| request(Method::POST, "/orders", &format!("{round}-{number}")),
    },
];

/// Sends them one after the other.
fn send<S, B>(runtime: &Runtime, service: &S, requests: Vec<Sent>, status: StatusCode) -> Duration
where
    S: Service<Sent, Response = Response<B>, Error = Infallible> + Clone,
{
    runtime.block_on(async {
        let start = Instant::now();
        for request in requests {
            let Ok(response) = service.clone().oneshot(request).await;
            assert_eq!(black_box(response).status(), status);
        }
        start.elapsed()
    })
}

/// Medians of nine, taken in turns, so that the noise of the machine falls on all.
pub(crate) fn table() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    let store = MemoryStore::builder().single_instance().build();
    let layer = IdempotencyLayer::builder(store).unscoped().build();
    let (bare, protected) = (service_fn(handler), layer.layer(service_fn(handler)));
    let round = |case: &Case, round: usize, many: usize| {
        let requests = (0..many).map(|number| (case.request)(round, number)).collect();
        let mut time = Duration::ZERO;
        let taken = measure(|| {
            time = if case.protected {
                send(&runtime, &protected, requests, case.status)
            } else {
                send(&runtime, &bare, requests, case.status)
            };
        });
        (time.as_secs_f64() * 1e9 / many as f64, taken)
    };
    // What the others repeat.
    send(&runtime, &protected, vec![request(Method::POST, "/orders", "order-0")], CASES[3].status);
    let held = protected.clone().oneshot(request(Method::POST, "/held", "held"));
    let mut held = Box::pin(held);
    runtime.block_on(async {
        for _ in 0..10 {
            assert!(futures::poll!(&mut held).is_pending());
            tokio::task::yield_now().await;
        }
    });
    let mut times: [Vec<f64>; CASES.len()] = Default::default();
    for turn in 0..9 {
        for (case, times) in CASES.iter().zip(&mut times) {
            times.push(round(case, turn, ROUND).0);
        }
    }
    let medians = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    println!("a request over HTTP, over the memory store:");
    for (case, time) in CASES.iter().zip(medians) {
        // The requests were taken from the allocator before, and given back here.
        let taken = round(case, 9, 1000).1;
        println!(
            "{:>30}: {time:6.0} ns, ratio {:5.2}, {:4.1} allocations, {:6.0} bytes",
            case.name,
            time / medians[0],
            taken.count_total as f64 / 1000.0,
            taken.bytes_total as f64 / 1000.0,
        );
    }
}
