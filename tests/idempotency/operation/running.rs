//! What runs, what is replayed, and what runs again.

use std::time::Duration;

use buttress::idempotency::{Concurrent, OperationError};
use futures::future::join_all;
use tower::Layer;

use super::{Failure, Order, Shop, builder, once, order, said, send};

#[tokio::test(start_paused = true)]
async fn a_request_runs_once_and_its_answer_is_replayed() {
    let shop = Shop::counting();
    let service = once(&shop);
    assert_eq!(said(send(&service, order("a")).await), ("order 1".to_owned(), false));
    assert_eq!(said(send(&service, order("a")).await), ("order 1".to_owned(), true));
    assert_eq!(said(send(&service, order("b")).await), ("order 2".to_owned(), false));
    assert_eq!(shop.orders(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_its_own_text_and_can_be_taken_out() {
    let service = once(&Shop::counting());
    let mut answer = send(&service, order("a")).await.unwrap();
    assert_eq!(answer.len(), 7);
    answer.push('!');
    assert_eq!(answer.into_inner(), "order 1!");
}

#[tokio::test(start_paused = true)]
async fn an_error_that_the_codec_keeps_is_replayed() {
    let shop = Shop::answering(|| Err(Failure::Declined("no money".to_owned())));
    let service = once(&shop);
    for _ in 0..3 {
        let error = send(&service, order("a")).await.unwrap_err();
        let OperationError::Inner(failure) = error else { panic!("{error}") };
        assert_eq!(failure, Failure::Declined("no money".to_owned()));
    }
    assert_eq!(shop.orders(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_that_the_codec_releases_runs_again() {
    let shop = Shop::new(async |_, number| match number {
        1 => Err(Failure::Busy),
        _ => Ok("placed".to_owned()),
    });
    let service = once(&shop);
    let busy = send(&service, order("a")).await;
    assert!(matches!(busy, Err(OperationError::Inner(Failure::Busy))), "{busy:?}");
    assert_eq!(said(send(&service, order("a")).await), ("placed".to_owned(), false));
}

#[tokio::test(start_paused = true)]
async fn a_released_key_may_be_used_for_another_request() {
    let shop = Shop::answering(|| Err(Failure::Busy));
    let service = once(&shop);
    for item in ["tea", "coffee"] {
        let answer = send(&service, Order { item, ..order("a") }).await;
        assert!(matches!(answer, Err(OperationError::Inner(Failure::Busy))), "{answer:?}");
    }
    assert_eq!(shop.orders(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_is_not_known_stays_so() {
    let shop = Shop::answering(|| Err(Failure::Unclear));
    let service = once(&shop);
    let own = send(&service, order("a")).await;
    assert!(matches!(own, Err(OperationError::Inner(Failure::Unclear))), "{own:?}");
    for _ in 0..2 {
        let answer = send(&service, order("a")).await;
        assert!(matches!(answer, Err(OperationError::OutcomeUnknown)), "{answer:?}");
    }
    assert_eq!(shop.orders(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_is_not_kept_is_known_to_have_happened() {
    let shops: [(Shop, u16); 3] = [
        (Shop::answering(|| Ok("forget".to_owned())), 0),
        (Shop::answering(|| Err(Failure::Secret)), 1),
        (Shop::answering(|| Ok("unwritable".to_owned())), 0),
    ];
    for (shop, expected) in shops {
        let service = once(&shop);
        let own = send(&service, order("a")).await;
        assert!(matches!(own, Ok(_) | Err(OperationError::Inner(_))), "{own:?}");
        let answer = send(&service, order("a")).await;
        let Err(OperationError::ResultUnavailable { tag }) = answer else { panic!("{answer:?}") };
        assert_eq!((tag, shop.orders()), (expected, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_codec_that_panics_does_not_run_the_request_again() {
    let shop = Shop::answering(|| Ok("panic".to_owned()));
    let service = once(&shop);
    let own = tokio::spawn({
        let service = service.clone();
        async move { send(&service, order("a")).await }
    });
    let panic = own.await.unwrap_err().into_panic();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"the codec"));
    let answer = send(&service, order("a")).await;
    assert!(matches!(answer, Err(OperationError::ResultUnavailable { tag: 0 })), "{answer:?}");
    assert_eq!(shop.orders(), 1);
}

#[tokio::test(start_paused = true)]
async fn of_many_at_once_one_runs_and_the_others_are_refused() {
    let shop = Shop::counting();
    let service = once(&shop);
    let answers = join_all((0..32).map(|_| send(&service, order("a")))).await;
    let second = Duration::from_secs(1);
    let refused = |answer: &&super::Answer| matches!(answer, Err(OperationError::InProgress { retry_after }) if *retry_after == second);
    assert_eq!(answers.iter().filter(refused).count(), 31);
    assert_eq!(answers.into_iter().filter_map(Result::ok).count(), 1);
    assert_eq!(shop.orders(), 1);
}

#[tokio::test(start_paused = true)]
async fn of_many_that_wait_one_runs_and_all_get_its_answer() {
    let shop = Shop::counting();
    let waits = Concurrent::Wait { timeout: Duration::from_secs(5), max_waiters: 31 };
    let service = builder().on_concurrent(waits).build().layer(shop.clone());
    let answers = join_all((0..32).map(|_| send(&service, order("a")))).await;
    let answers: Vec<_> = answers.into_iter().map(said).collect();
    assert!(answers.iter().all(|(text, _)| text == "order 1"), "{answers:?}");
    assert_eq!(answers.iter().filter(|(_, replayed)| *replayed).count(), 31);
    assert_eq!(shop.orders(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_handler_is_handed_its_context() {
    let shop = Shop::new(async |order: Order, _| {
        let context = order.context.expect("attached");
        context.begin_effects().await.expect("the claim holds");
        Ok(format!("attempt {}", context.attempt()))
    });
    assert_eq!(said(send(&once(&shop), order("a")).await), ("attempt 1".to_owned(), false));
}

#[tokio::test(start_paused = true)]
async fn after_its_effects_have_begun_a_failed_request_never_runs_again() {
    let shop = Shop::new(async |order: Order, _| {
        order.context.expect("attached").begin_effects().await.expect("the claim holds");
        Err(Failure::Busy)
    });
    let service = once(&shop);
    let own = send(&service, order("a")).await;
    assert!(matches!(own, Err(OperationError::Inner(Failure::Busy))), "{own:?}");
    let answer = send(&service, order("a")).await;
    assert!(matches!(answer, Err(OperationError::OutcomeUnknown)), "{answer:?}");
    assert_eq!(shop.orders(), 1);
}
