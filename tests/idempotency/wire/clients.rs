//! Clients that go away in the middle.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Shop, is_replay, lasting, order, until};

/// How a client leaves.
#[derive(Clone, Copy, Debug)]
enum Leaves {
    Close,
    HalfClose,
    Reset,
}

#[tokio::test]
async fn a_handler_outlives_its_client_and_the_duplicate_is_replayed() {
    for leaves in [Leaves::Close, Leaves::HalfClose, Leaves::Reset] {
        let shop = Shop::open().await;
        let mut client = shop.connect().await;
        client.write_all(order("k").as_bytes()).await.unwrap();
        shop.until_started(1).await;
        match leaves {
            Leaves::Close => drop(client),
            Leaves::HalfClose => {
                client.shutdown().await.unwrap();
                // The server takes it for a close.
                let mut rest = Vec::new();
                let left = client.read_to_end(&mut rest);
                let _ = tokio::time::timeout(Duration::from_millis(500), left).await;
                assert!(rest.is_empty());
            }
            Leaves::Reset => {
                client.set_zero_linger().unwrap();
                drop(client);
            }
        }
        // A thousand times as long as a server takes to find that out.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let busy = shop.says_to(&order("k")).await;
        assert!(busy.starts_with("HTTP/1.1 409 Conflict\r\n"), "{leaves:?}: {busy}");
        assert!(busy.contains("\"code\":\"in_progress\"") && busy.contains("retry-after: 1\r\n"));
        shop.go_on(1);
        until("the layer is idle", || shop.handle.in_flight() == 0).await;
        assert_eq!(shop.ended.load(Ordering::SeqCst), 1, "{leaves:?}");
        let again = shop.says_to(&order("k")).await;
        assert!(is_replay(&again), "{leaves:?}: {again}");
        assert!(again.contains("location: /orders/1\r\n") && again.ends_with("\r\n\r\ntea"));
        assert_eq!(shop.started.load(Ordering::SeqCst), 1);
        // And each time the same.
        assert_eq!(shop.says_to(&order("k")).await.len(), again.len());
        assert_eq!(lasting(&shop.says_to(&order("k")).await), lasting(&again));
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_its_upload_has_asked_for_nothing() {
    let shop = Shop::open().await;
    let mut client = shop.connect().await;
    let request = order("k");
    client.write_all(&request.as_bytes()[..request.len() - 1]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    client.set_zero_linger().unwrap();
    drop(client);
    shop.go_on(1);
    let first = shop.says_to(&request).await;
    assert!(first.starts_with("HTTP/1.1 201 Created\r\n") && !is_replay(&first), "{first}");
    assert_eq!(shop.started.load(Ordering::SeqCst), 1);
}
