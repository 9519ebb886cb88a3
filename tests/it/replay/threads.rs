//! Clones that are read at the same time, on several threads.

use std::convert::Infallible;

use buttress::http::ReplayBody;
use bytes::Bytes;
use futures::channel::mpsc;
use futures::future::join_all;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

/// A body of 50 frames, sent by a task while it is read.
fn streamed() -> ReplayBody<impl http_body::Body<Data = Bytes, Error = Infallible> + Send> {
    let (sender, frames) = mpsc::unbounded();
    tokio::spawn(async move {
        for number in 0..50_u8 {
            let frame = Frame::data(Bytes::from(vec![number; 3]));
            if sender.unbounded_send(Ok(frame)).is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    });
    ReplayBody::new(StreamBody::new(frames))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_get_everything() {
    let expected: Vec<u8> = (0..50).flat_map(|number| [number; 3]).collect();
    for _ in 0..200 {
        let body = streamed();
        let copies = [body.clone(), body.clone(), body];
        let reads = copies.map(|copy| tokio::spawn(async { copy.collect().await.unwrap() }));
        for read in join_all(reads).await {
            assert_eq!(read.unwrap().to_bytes(), expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_that_give_up_leave_nobody_asleep() {
    let expected: Vec<u8> = (0..50).flat_map(|number| [number; 3]).collect();
    for round in 0..200 {
        let body = streamed();
        let copy = body.clone();
        let whole = tokio::spawn(async { copy.collect().await.unwrap() });
        let part = tokio::spawn(async move {
            let mut body = body;
            for _ in 0..round % 50 {
                body.frame().await.unwrap().unwrap();
            }
        });
        part.await.unwrap();
        assert_eq!(whole.await.unwrap().to_bytes(), expected);
    }
}
