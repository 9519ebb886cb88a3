//! Requests that wait for another with the same key.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::idempotency::RecordKey;
use crate::idempotency::execution::Caller;
use crate::idempotency::execution::engine::{Engine, Opening};
use crate::idempotency::store::{Begin, BeginRequest, Store};
use crate::observe::{Emitter, EventKind, Stage};
use crate::rejected::Reason;
use crate::sync::{Mutex, lock};
use crate::time;

/// How many wait for each key.
#[derive(Debug, Default)]
pub(super) struct Waiters(Arc<Mutex<HashMap<RecordKey, usize>>>);

/// One of those that wait.
#[derive(Debug)]
pub(super) struct Waiter {
    waiters: Arc<Mutex<HashMap<RecordKey, usize>>>,
    key: RecordKey,
}

impl Waiters {
    /// A place, if fewer than `most` wait for this key.
    pub(super) fn enter(&self, key: RecordKey, most: usize) -> Option<Waiter> {
        match lock(&self.0).entry(key) {
            Entry::Occupied(waiting) if *waiting.get() >= most => return None,
            Entry::Occupied(mut waiting) => *waiting.get_mut() += 1,
            Entry::Vacant(none) => drop(none.insert(1)),
        }
        Some(Waiter { waiters: self.0.clone(), key })
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiters = lock(&self.waiters);
        if let Entry::Occupied(mut waiting) = waiters.entry(self.key) {
            *waiting.get_mut() -= 1;
            if *waiting.get() == 0 {
                waiting.remove();
            }
        }
    }
}

/// Tells of a request that left while it waited.
struct Queued<'a>(Option<&'a Emitter>);

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        if let Some(emitter) = self.0 {
            emitter.emit(Stage::Waiting, EventKind::Abandoned);
        }
    }
}

impl<St: Store> Engine<St> {
    /// Asks again whenever the record may have changed, until it is no longer in progress or the
    /// time is over. Where several wait, the store lets one of them run.
    pub(super) async fn wait<T>(
        self: &Arc<Self>,
        place: Waiter,
        request: BeginRequest,
        at_most: Duration,
        caller: &Caller<T>,
    ) -> Opening<St> {
        let since = time::now();
        let until = time::later(since, at_most);
        self.emitter.emit(Stage::Arriving, EventKind::Queued);
        let mut queued = Queued(Some(&self.emitter));
        let begun = loop {
            // It listens before the store is asked, so that no change falls between the two.
            let mut changed = pin!(self.store.changed(&request.key));
            let heard = poll_fn(|cx| Poll::Ready(changed.as_mut().poll(cx).is_ready())).await;
            let begun = self.begin(&request).await;
            let left = until.saturating_duration_since(time::now());
            match begun {
                Ok(Begin::InProgress { lease_remaining, .. }) if !left.is_zero() => {
                    if !heard {
                        // A lease that lapses changes nothing that a store would tell of.
                        let wait = left.min(lease_remaining.max(SHORTEST));
                        let change = tokio::time::timeout(wait, changed);
                        if caller.while_there(change).await.is_none() {
                            // For nobody.
                            return Opening::Refused(self.refusal(Reason::InProgress));
                        }
                    }
                }
                begun => break begun,
            }
        };
        drop(place);
        queued.0 = None;
        let waited = time::now().saturating_duration_since(since);
        self.opened(begun, request, Stage::Waiting, waited)
    }
}

/// A lease that is about to lapse is not asked for in a busy loop.
const SHORTEST: Duration = Duration::from_millis(1);
