//! A pool of workers, exact to the timer's tick.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Workers who take this long for a call, each call for itself, first come first served, with an
/// endless line before them.
///
/// When a call will be done is settled when it comes, and not when a timer fires: a machine that
/// is late makes the one call late, and leaves the capacity what it was configured as.
#[derive(Debug)]
pub(crate) struct Pool {
    /// When each worker is free next.
    free: Mutex<BinaryHeap<Reverse<Instant>>>,
    service: Duration,
}

impl Pool {
    pub(crate) fn new(workers: usize, service: Duration) -> Self {
        let free = Mutex::new(vec![Reverse(Instant::now()); workers].into());
        Self { free, service }
    }

    /// Has the next free worker do its work. It is done even if the caller has gone by then:
    /// nobody tells a worker.
    pub(crate) async fn work(&self) {
        let done = self.engage();
        sleep_until(done).await;
    }

    fn engage(&self) -> Instant {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let start = free.pop().map_or(now, |Reverse(next)| next.max(now));
        free.push(Reverse(start + self.service));
        start + self.service
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn as_many_work_at_once_as_there_are_workers_and_the_rest_stand_in_line() {
        let pool = Arc::new(Pool::new(3, Duration::from_millis(10)));
        let begun = Instant::now();
        let mut calls = JoinSet::new();
        for _ in 0..7 {
            let pool = pool.clone();
            calls.spawn(async move {
                pool.work().await;
                begun.elapsed().as_millis()
            });
        }
        let mut ended = calls.join_all().await;
        ended.sort_unstable();
        assert_eq!(ended, [10, 10, 10, 20, 20, 20, 30]);
        pool.work().await;
        assert_eq!(begun.elapsed().as_millis(), 40, "idle workers begin at once");
    }

    #[tokio::test(start_paused = true)]
    async fn work_goes_on_when_its_caller_has_gone() {
        let pool = Pool::new(1, Duration::from_millis(10));
        let begun = Instant::now();
        let left = tokio::time::timeout(Duration::from_millis(1), pool.work()).await;
        assert!(left.is_err());
        pool.work().await;
        assert_eq!(begun.elapsed().as_millis(), 20);
    }
}
