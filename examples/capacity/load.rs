//! The load generator: open loop, so that a target that stalls cannot slow down the load that
//! would show it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use buttress::http::REFUSAL;
use http::{HeaderMap, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tower::BoxError;

use crate::prometheus::{Sample, parse};
use crate::step::{Call, Ending};

/// What the requests go to, and how long they wait for it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    client: legacy::Client<HttpConnector, Body>,
    uri: Uri,
    patience: Duration,
}

/// The requests of a step.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) calls: Vec<Call>,
    /// When no more were sent, where that was before the end: the target was too far behind.
    pub(crate) cut: Option<Duration>,
}

impl Target {
    pub(crate) fn new(uri: Uri, patience: Duration) -> Self {
        Self { client: client(), uri, patience }
    }

    /// Sends a request at each of these times since `start`, whatever became of those before, and
    /// calls `sent` after the last. Returns once all have ended.
    ///
    /// With more than `most` unanswered it stops early.
    pub(crate) async fn load(
        &self,
        schedule: &[Duration],
        start: Instant,
        most: usize,
        sent: impl FnOnce(),
    ) -> Sent {
        let this = Arc::new(self.clone());
        let (mut running, mut calls, mut cut) = (JoinSet::new(), Vec::new(), None);
        for &due in schedule {
            sleep_until(start + due).await;
            while let Some(Ok(call)) = running.try_join_next() {
                calls.push(call);
            }
            if running.len() > most {
                cut = Some(due);
                break;
            }
            running.spawn(this.clone().call(start, due));
        }
        sent();
        calls.extend(running.join_all().await);
        Sent { calls, cut }
    }

    async fn call(self: Arc<Self>, start: Instant, due: Duration) -> Call {
        let intended = start + due;
        let lag = intended.elapsed();
        // The patience is the caller's, who does not know when the request was sent.
        let ending = timeout_at(intended + self.patience, self.ask()).await;
        let ending = ending
            .unwrap_or_else(|_| Ending::Failed(format!("no answer within {:?}", self.patience)));
        Call { due, lag, latency: intended.elapsed(), ending }
    }

    /// One request, now, with how long it took.
    pub(crate) async fn probe(&self) -> (Ending, Duration) {
        let start = Instant::now();
        let ending = timeout(self.patience, self.ask()).await;
        let nothing = || Ending::Failed(format!("no answer within {:?}", self.patience));
        (ending.unwrap_or_else(|_| nothing()), start.elapsed())
    }

    async fn ask(&self) -> Ending {
        let (head, body) = match self.client.get(self.uri.clone()).await {
            Ok(answer) => answer.into_parts(),
            Err(error) if error.is_connect() => return Ending::Failed("no connection".to_owned()),
            Err(_) => return Ending::Failed("connection lost".to_owned()),
        };
        // To its end: only then is the answer there, and the connection free for the next request.
        match body.collect().await {
            Ok(_) => judge(head.status, &head.headers),
            Err(_) => Ending::Failed("body cut short".to_owned()),
        }
    }
}

fn judge(status: StatusCode, headers: &HeaderMap) -> Ending {
    let code = headers.get(&REFUSAL).and_then(|code| code.to_str().ok());
    match code {
        Some(code) => Ending::Refused(code.to_owned()),
        None if status.as_u16() < 400 => Ending::Good,
        None => Ending::Failed(format!("answer {}", status.as_u16())),
    }
}

/// What the target's metrics say at this moment.
pub(crate) async fn scrape(metrics: &Target) -> Result<Vec<Sample>, BoxError> {
    let page = timeout(Duration::from_secs(2), async {
        let answer = metrics.client.get(metrics.uri.clone()).await?;
        if !answer.status().is_success() {
            return Err(format!("answer {}", answer.status().as_u16()).into());
        }
        Ok::<_, BoxError>(answer.into_body().collect().await?.to_bytes())
    });
    let page = page.await.map_err(|_| "no answer within 2 s")??;
    Ok(parse(std::str::from_utf8(&page)?)?)
}

fn client() -> legacy::Client<HttpConnector, Body> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    legacy::Client::builder(TokioExecutor::new()).build(connector)
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use tokio::net::TcpListener;
    use tokio::time::sleep;

    use super::*;

    const STALL: Duration = Duration::from_millis(200);

    /// A server that takes its time for `/slow`, and for ever for `/never`.
    async fn target(path: &str, patience: Duration) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}{path}", listener.local_addr().unwrap());
        let app = Router::new()
            .route("/slow", get(async || sleep(STALL).await))
            .route("/never", get(async || std::future::pending::<()>().await));
        tokio::spawn(axum::serve(listener, app).into_future());
        Target::new(uri.parse().unwrap(), patience)
    }

    fn each_millisecond(count: u64) -> Vec<Duration> {
        (0..count).map(Duration::from_millis).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_target_that_stalls_holds_up_no_request_and_its_latency_counts_from_the_schedule() {
        let target = target("/slow", Duration::from_secs(30)).await;
        // The first half of the schedule is over already: whoever sends late has to own up to it.
        let start = Instant::now() - Duration::from_millis(50);
        let (schedule, mut took) = (each_millisecond(100), None);
        let sent = || took = Some(start.elapsed());
        let Sent { calls, cut } = target.load(&schedule, start, 1000, sent).await;
        assert_eq!((calls.len(), cut), (100, None));
        // One after the other they would take twenty seconds.
        assert!(took.unwrap() < Duration::from_secs(10), "{took:?}");
        for call in &calls {
            assert_eq!(call.ending, Ending::Good);
            assert!(call.latency >= STALL + call.lag, "{call:?}");
        }
        let first = calls.iter().find(|call| call.due.is_zero()).unwrap();
        assert!(first.lag >= Duration::from_millis(50), "{first:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_load_is_cut_short_where_the_target_is_too_far_behind() {
        let target = target("/never", Duration::from_millis(300)).await;
        let Sent { calls, cut } =
            target.load(&each_millisecond(100), Instant::now(), 10, || ()).await;
        assert_eq!((calls.len(), cut), (11, Some(Duration::from_millis(11))));
        let given_up = Ending::Failed("no answer within 300ms".to_owned());
        assert!(calls.iter().all(|call| call.ending == given_up), "{calls:?}");
    }

    #[tokio::test]
    async fn patience_counts_from_when_a_request_was_due() {
        let target = target("/never", Duration::from_secs(5)).await;
        let begun = Instant::now();
        let late = begun - Duration::from_secs(5);
        let Sent { calls, .. } = target.load(&[Duration::ZERO], late, 10, || ()).await;
        assert!(begun.elapsed() < Duration::from_secs(5), "{calls:?}");
    }

    #[tokio::test]
    async fn a_target_that_is_not_there_is_no_answer_and_no_metrics() {
        let nobody = "http://127.0.0.1:1/".parse().unwrap();
        let target = Target::new(nobody, Duration::from_secs(5));
        assert_eq!(target.probe().await.0, Ending::Failed("no connection".to_owned()));
        assert!(scrape(&target).await.is_err());
    }

    #[test]
    fn an_answer_is_judged_by_its_status_and_a_refusal_by_its_marker() {
        let mut headers = HeaderMap::new();
        assert_eq!(judge(StatusCode::NO_CONTENT, &headers), Ending::Good);
        assert_eq!(judge(StatusCode::NOT_FOUND, &headers), Ending::Failed("answer 404".to_owned()));
        headers.insert(REFUSAL, "bulkhead_full".parse().unwrap());
        let refused = Ending::Refused("bulkhead_full".to_owned());
        assert_eq!(judge(StatusCode::SERVICE_UNAVAILABLE, &headers), refused);
    }
}
