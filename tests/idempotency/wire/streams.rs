//! HTTP/2.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use http::{HeaderMap, Request};

use super::{Shop, until};

async fn connect(shop: &Shop) -> SendRequest<Bytes> {
    let (client, connection) = h2::client::handshake(shop.connect().await).await.unwrap();
    tokio::spawn(connection);
    client.ready().await.unwrap()
}

fn send(
    client: &mut SendRequest<Bytes>,
    path: &str,
    key: &str,
) -> (ResponseFuture, SendStream<Bytes>) {
    let request = Request::post(format!("http://shop{path}")).header("idempotency-key", key);
    let (response, mut body) = client.send_request(request.body(()).unwrap(), false).unwrap();
    body.send_data(Bytes::from_static(b"tea"), true).unwrap();
    (response, body)
}

/// Status, headers, body and trailers.
async fn read(response: ResponseFuture) -> (u16, HeaderMap, Vec<u8>, Option<HeaderMap>) {
    let (parts, mut body) = response.await.unwrap().into_parts();
    let mut data = Vec::new();
    while let Some(frame) = body.data().await {
        let frame = frame.unwrap();
        body.flow_control().release_capacity(frame.len()).unwrap();
        data.extend_from_slice(&frame);
    }
    (parts.status.as_u16(), parts.headers, data, body.trailers().await.unwrap())
}

#[tokio::test]
async fn a_stream_that_is_reset_does_not_end_its_handler() {
    let shop = Shop::open().await;
    let mut client = connect(&shop).await;
    let (response, mut stream) = send(&mut client, "/orders", "k");
    shop.until_started(1).await;
    stream.send_reset(Reason::CANCEL);
    drop((response, stream));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (busy, _stream) = send(&mut client, "/orders", "k");
    assert_eq!(read(busy).await.0, 409);
    shop.go_on(1);
    until("the layer is idle", || shop.handle.in_flight() == 0).await;
    let (again, _stream) = send(&mut client, "/orders", "k");
    let (status, headers, body, _) = read(again).await;
    assert_eq!((status, &*body), (201, &b"tea"[..]));
    assert_eq!(headers["idempotency-replayed"], "true");
    assert_eq!((shop.started.load(Ordering::SeqCst), shop.ended.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test]
async fn a_replay_has_the_same_headers_body_and_trailers() {
    let shop = Shop::open().await;
    let mut client = connect(&shop).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let (response, _stream) = send(&mut client, "/streams", "k");
        seen.push(read(response).await);
    }
    assert_eq!((seen[0].0, &*seen[0].2), (200, &b"onetwothree"[..]));
    assert_eq!(seen[0].3.as_ref().unwrap()["x-sum"], "7");
    seen[0].1.remove("date");
    for again in 1..3 {
        let mut replay = seen[again].clone();
        assert_eq!(replay.1.remove("idempotency-replayed").unwrap(), "true");
        replay.1.remove("date");
        assert_eq!(replay, seen[0]);
    }
}
