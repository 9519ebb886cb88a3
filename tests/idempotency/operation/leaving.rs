//! Callers that leave, and handlers that panic.

use std::time::Duration;

use buttress::idempotency::{OnCancel, OperationError};
use futures::FutureExt;
use tower::Layer;

use super::{Order, Shop, builder, once, order, said, send};

/// Starts the request, and leaves after half of its time.
async fn leave(service: &super::Once, order: Order) {
    let answer = tokio::time::timeout(Duration::from_millis(500), send(service, order)).await;
    assert!(answer.is_err(), "it takes a second");
}

#[tokio::test(start_paused = true)]
async fn a_request_runs_to_its_end_without_its_caller() {
    let shop = Shop::counting();
    let layer = builder().build();
    let service = layer.layer(shop.clone());
    leave(&service, order("a")).await;
    assert_eq!((layer.handle().in_flight(), shop.finished()), (1, 0));

    let drained = layer.handle().drain(Duration::from_secs(10)).await;
    assert_eq!((drained.running, shop.finished()), (0, 1));
    assert_eq!(said(send(&service, order("a")).await), ("order 1".to_owned(), true));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_may_be_dropped_is_and_runs_again() {
    let shop = Shop::counting();
    let layer = builder().on_cancel(OnCancel::Release).build();
    let service = layer.layer(shop.clone());
    leave(&service, order("a")).await;
    layer.handle().drain(Duration::from_secs(10)).await;
    assert_eq!((shop.orders(), shop.finished()), (1, 0));
    assert_eq!(said(send(&service, order("a")).await), ("order 2".to_owned(), false));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_before_its_request_was_sent_takes_it_along() {
    let shop = Shop::counting();
    let layer = builder().build();
    let service = layer.layer(shop.clone());
    // It has its task, which has not been polled yet.
    let mut left = Box::pin(send(&service, order("a")));
    assert!(futures::poll!(&mut left).is_pending());
    drop(left);
    layer.handle().drain(Duration::from_secs(10)).await;
    assert_eq!(shop.orders(), 0);
    assert_eq!(said(send(&service, order("a")).await), ("order 1".to_owned(), false));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_while_the_service_gets_ready_takes_its_request_along() {
    let shop = Shop::counting();
    let limited = tower::limit::ConcurrencyLimit::new(shop.clone(), 1);
    let layer = builder().build();
    let service = layer.layer(limited);
    let (first, left) = tokio::join!(
        send(&service, order("a")),
        tokio::time::timeout(Duration::from_millis(500), send(&service, order("b")))
    );
    assert!(first.is_ok() && left.is_err());
    layer.handle().drain(Duration::from_secs(10)).await;
    assert_eq!(shop.orders(), 1, "the second was never sent");
    assert_eq!(said(send(&service, order("b")).await), ("order 2".to_owned(), false));
}

#[tokio::test(start_paused = true)]
async fn a_panic_goes_on_in_the_caller_and_releases_the_key() {
    let shop = Shop::new(async |_, number| match number {
        1 => panic!("no tea"),
        _ => Ok("placed".to_owned()),
    });
    let service = once(&shop);
    let panic = std::panic::AssertUnwindSafe(send(&service, order("a"))).catch_unwind().await;
    assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"no tea"));
    assert_eq!(said(send(&service, order("a")).await), ("placed".to_owned(), false));
}

#[tokio::test(start_paused = true)]
async fn a_panic_after_the_effects_have_begun_leaves_the_outcome_unknown() {
    let shop = Shop::new(async |order: Order, _| {
        order.context.unwrap().begin_effects().await.unwrap();
        panic!("no tea")
    });
    let service = once(&shop);
    let panic = std::panic::AssertUnwindSafe(send(&service, order("a"))).catch_unwind().await;
    assert!(panic.is_err());
    let answer = send(&service, order("a")).await;
    assert!(matches!(answer, Err(OperationError::OutcomeUnknown)), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_before_the_handler_releases_the_key_as_well() {
    let shop = Shop::counting();
    let layer = builder().build();
    let service = layer.layer(shop.clone());
    let spoilt = Order { item: "no room for a context", ..order("a") };
    let panic = std::panic::AssertUnwindSafe(send(&service, spoilt)).catch_unwind().await;
    assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"no room"));
    layer.handle().drain(Duration::from_secs(60)).await;
    assert_eq!(said(send(&service, order("a")).await), ("order 1".to_owned(), false));
}
