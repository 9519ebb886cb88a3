//! Stores that fail, and records that cannot be read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use buttress::idempotency::{
    Abandon, Begin, BeginRequest, Claim, Fenced, MemoryStore, OnStoreError, OperationBuilder,
    OperationError, OperationLayer, RecordKey, Snapshot, Store, StoreError, StoredOutcome,
};
use buttress::{Reason, Rejected};
use tower::Layer;

use super::{Orders, Shop, Texts, order, said, send};

/// A store in memory that can be away, and that can spoil what it keeps.
#[derive(Clone, Default)]
struct Trouble {
    store: MemoryStore,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    away: AtomicBool,
    begins: AtomicUsize,
    format: AtomicBool,
}

impl Trouble {
    fn is_away(&self, away: bool) {
        self.state.away.store(away, Ordering::SeqCst);
    }

    fn answers(&self) -> Result<(), StoreError> {
        if self.state.away.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("it is away".into()));
        }
        Ok(())
    }
}

impl Store for Trouble {
    async fn begin(&self, request: BeginRequest) -> Result<Begin, StoreError> {
        self.state.begins.fetch_add(1, Ordering::SeqCst);
        self.answers()?;
        self.store.begin(request).await
    }

    async fn renew(&self, claim: &Claim, lease: Duration) -> Result<Fenced, StoreError> {
        self.answers()?;
        self.store.renew(claim, lease).await
    }

    async fn mark_effects(&self, claim: &Claim) -> Result<Fenced, StoreError> {
        self.answers()?;
        self.store.mark_effects(claim).await
    }

    async fn complete(
        &self,
        claim: &Claim,
        mut outcome: StoredOutcome,
        retention: Duration,
    ) -> Result<Fenced, StoreError> {
        self.answers()?;
        if self.state.format.load(Ordering::SeqCst) {
            outcome.format = 9;
        }
        self.store.complete(claim, outcome, retention).await
    }

    async fn abandon(&self, claim: &Claim, how: Abandon) -> Result<Fenced, StoreError> {
        self.answers()?;
        self.store.abandon(claim, how).await
    }

    async fn inspect(&self, key: &RecordKey) -> Result<Option<Snapshot>, StoreError> {
        self.store.inspect(key).await
    }

    async fn forget(&self, key: &RecordKey) -> Result<bool, StoreError> {
        self.store.forget(key).await
    }
}

fn builder(store: &Trouble) -> OperationBuilder<Orders, Texts, Trouble> {
    OperationLayer::builder(store.clone(), Orders, Texts)
}

#[tokio::test(start_paused = true)]
async fn without_its_store_nothing_runs() {
    let (shop, store) = (Shop::counting(), Trouble::default());
    store.is_away(true);
    let service = builder(&store).name("orders").build().layer(shop.clone());
    let error = send(&service, order("a")).await.unwrap_err();
    assert!(matches!(error, OperationError::Store(StoreError::Unavailable(_))), "{error:?}");
    let refusal = error.rejected().unwrap();
    assert_eq!(refusal.reason(), Reason::StoreUnavailable);
    assert_eq!(refusal.retry_after(), Some(Duration::from_secs(1)));
    assert!(!refusal.was_dispatched());
    assert_eq!(Rejected::find(&error), Some(&refusal));
    assert!(store.state.begins.load(Ordering::SeqCst) > 1, "it was asked more than once");
    assert_eq!(shop.orders(), 0);

    store.is_away(false);
    assert!(send(&service, order("b")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn without_its_store_requests_run_unprotected_where_that_is_the_rule() {
    let (shop, store) = (Shop::counting(), Trouble::default());
    store.is_away(true);
    let open = builder(&store).on_store_error(OnStoreError::FailOpen).build();
    let service = open.layer(shop.clone());
    for number in 1..=2 {
        let answer = send(&service, order("a")).await;
        assert_eq!(said(answer), (format!("order {number}"), false));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_recorded_yet_is_the_callers_and_is_recorded_later() {
    let store = Trouble::default();
    let away = store.clone();
    let shop = Shop::new(move |_, number| {
        away.is_away(true);
        std::future::ready(Ok(format!("order {number}")))
    });
    let layer = builder(&store).build();
    let service = layer.layer(shop.clone());
    assert_eq!(said(send(&service, order("a")).await), ("order 1".to_owned(), false));
    store.is_away(false);
    layer.handle().drain(Duration::from_secs(60)).await;
    assert_eq!(said(send(&service, order("a")).await), ("order 1".to_owned(), true));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_read_does_not_run_again() {
    let (shop, store) = (Shop::answering(|| Ok("unreadable".to_owned())), Trouble::default());
    let service = builder(&store).build().layer(shop.clone());
    assert_eq!(said(send(&service, order("a")).await).0, "unreadable");
    let answer = send(&service, order("a")).await;
    assert!(matches!(answer, Err(OperationError::Store(StoreError::Corrupt(_)))), "{answer:?}");

    store.state.format.store(true, Ordering::SeqCst);
    assert!(send(&service, order("b")).await.is_ok());
    let answer = send(&service, order("b")).await;
    let unknown = matches!(answer, Err(OperationError::Store(StoreError::UnsupportedFormat(9))));
    assert!(unknown, "{answer:?}");
    assert_eq!(shop.orders(), 2);
}
