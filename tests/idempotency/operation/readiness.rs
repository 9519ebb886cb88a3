//! Tower's contract, on both sides.

use std::sync::atomic::Ordering;
use std::time::Duration;

use buttress::idempotency::{Idempotent, OperationError};
use futures::future::join_all;
use tower::buffer::BufferLayer;
use tower::limit::ConcurrencyLimitLayer;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

use super::{Once, Order, Shop, builder, once, order, said, send};

fn is_send<T: Send + 'static>(value: T) -> T {
    value
}

#[tokio::test(start_paused = true)]
async fn services_and_futures_can_be_sent_elsewhere() {
    let mut service = is_send(once(&Shop::counting()));
    let protected = is_send(service.call(order("a")));
    let passing = is_send(service.call(Order { key: Ok(None), ..order("a") }));
    assert!(tokio::spawn(protected).await.unwrap().is_ok());
    assert!(tokio::spawn(passing).await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn replays_need_nothing_of_the_service_inside() {
    let shop = Shop::counting();
    let mut service = once(&shop);
    service.ready().await.unwrap().call(order("a")).await.unwrap();
    // From here on it is never ready.
    shop.state.closed.store(true, Ordering::SeqCst);
    let answer = service.ready().await.expect("always").call(order("a")).await;
    assert_eq!(said(answer), ("order 1".to_owned(), true));
    let patience = Duration::from_secs(60);
    assert!(tokio::time::timeout(patience, send(&service, order("b"))).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_service_that_fails_to_get_ready_has_run_nothing() {
    let shop = Shop::counting();
    let service = once(&shop);
    shop.state.broken.store(true, Ordering::SeqCst);
    for key in [Ok(Some("a")), Ok(None)] {
        let failed = send(&service, Order { key, ..order("a") }).await;
        assert!(matches!(failed, Err(OperationError::Inner(_))), "{failed:?}");
    }
    // The codec would have kept that error as an answer.
    shop.state.broken.store(false, Ordering::SeqCst);
    assert_eq!(said(send(&service, order("a")).await), ("order 1".to_owned(), false));
}

#[tokio::test(start_paused = true)]
async fn it_works_behind_a_buffer_and_around_a_limit_of_one() {
    let shop = Shop::counting();
    let service = ServiceBuilder::new()
        .layer(BufferLayer::<Order>::new(8))
        .layer(ConcurrencyLimitLayer::new(8))
        .layer(builder().build())
        .layer(ConcurrencyLimitLayer::new(1))
        .service(shop.clone());
    let keys = ["a", "b", "c", "a"];
    let answers = join_all(keys.map(|key| send(&service, order(key)))).await;
    let mut answers: Vec<_> =
        answers.into_iter().map(|answer| answer.map(Idempotent::into_inner)).collect();
    let repeated = answers.pop().unwrap().unwrap_err();
    let repeated = repeated.downcast_ref::<OperationError<super::Failure>>();
    assert!(matches!(repeated, Some(OperationError::InProgress { .. })), "{repeated:?}");
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, ["order 1", "order 2", "order 3"]);
}

#[tokio::test(start_paused = true)]
async fn it_works_inside_a_limit_of_one() {
    let shop = Shop::counting();
    let service = ServiceBuilder::new()
        .layer(ConcurrencyLimitLayer::new(1))
        .layer(builder().build())
        .service(shop.clone());
    let answers = join_all(["a", "a", "b"].map(|key| send(&service, order(key)))).await;
    let answers: Vec<_> = answers.into_iter().map(said).collect();
    let expected = [("order 1", false), ("order 1", true), ("order 2", false)];
    assert_eq!(answers, expected.map(|(text, replayed)| (text.to_owned(), replayed)));
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_are_in_the_layer_than_it_takes() {
    let shop = Shop::counting();
    let layer = builder().max_in_flight(2).build();
    let service: Once = layer.layer(shop.clone());
    let answers = join_all(["a", "b", "c"].map(|key| send(&service, order(key)))).await;
    assert!(matches!(answers[2], Err(OperationError::Overloaded)), "{:?}", answers[2]);
    assert_eq!((shop.orders(), layer.handle().in_flight()), (2, 0));
    assert!(send(&service, order("c")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn all_services_of_a_layer_share_its_records() {
    let (one, other) = (Shop::counting(), Shop::counting());
    let layer = builder().build();
    send(&layer.layer(one.clone()), order("a")).await.unwrap();
    assert!(send(&layer.clone().layer(other.clone()), order("a")).await.unwrap().replayed());
    assert_eq!(other.orders(), 0);
}
