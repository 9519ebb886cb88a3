//! [`Changed`]: waiting for a record.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::idempotency::RecordKey;
use crate::idempotency::memory::shards::Shards;

/// Ready once nobody holds the record, or somebody else does than at the first poll.
#[derive(Debug)]
pub(super) struct Changed<'a> {
    shards: &'a Shards,
    key: RecordKey,
    /// Under which it waits, from the first poll on.
    id: Option<u64>,
}

impl<'a> Changed<'a> {
    pub(super) fn new(shards: &'a Shards, key: RecordKey) -> Self {
        Self { shards, key, id: None }
    }
}

impl Future for Changed<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { shards, key, id } = self.get_mut();
        // Cloned and dropped outside the lock: what that runs is the executor's, and it may come
        // back here.
        let waker = cx.waker().clone();
        let (waits, _unused) = shards.on(key, |table, now| table.wait(key, id, waker, now));
        if waits { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl Drop for Changed<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let _forgotten =
                self.shards.on(&self.key, |table, _| table.waiters().forget(&self.key, id));
        }
    }
}
