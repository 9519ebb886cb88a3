//! The work behind every server: a pool of workers with an endless queue before it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

/// Calls that are worked on at once; the rest stand in line.
pub(crate) const WORKERS: u32 = 10;

/// How long a call takes a worker, in ms on average: 24 of work, drawn from an exponential
/// distribution, and about one more until the timer that stands for it has fired.
const WORK: u32 = 24;
const TIMER: u32 = 1;

/// Calls a second that the workers can do, and no more.
pub(crate) const CAPACITY: f64 = WORKERS as f64 * 1000.0 / (WORK + TIMER) as f64;

/// A pool of workers. Whatever it has taken in it does: a thread cannot be stopped, and nobody
/// tells it that a caller has gone.
#[derive(Debug)]
pub(crate) struct Pool {
    workers: Semaphore,
    chance: Mutex<SmallRng>,
    /// Calls done, and the time that they held a worker, in microseconds.
    done: AtomicU64,
    held: AtomicU64,
}

impl Pool {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            workers: Semaphore::new(WORKERS as usize),
            chance: Mutex::new(SmallRng::seed_from_u64(seed)),
            done: AtomicU64::new(0),
            held: AtomicU64::new(0),
        }
    }

    /// Waits for a worker, first come first served, and has it do the work of one call.
    pub(crate) async fn work(&self) {
        let worker = self.workers.acquire().await;
        let begun = Instant::now();
        sleep(self.draw()).await;
        drop(worker);
        let held = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.held.fetch_add(held, Ordering::Relaxed);
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    fn draw(&self) -> Duration {
        let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
        Duration::from_millis(WORK.into()).mul_f64(-(1.0 - chance.random::<f64>()).ln())
    }

    /// Calls a second that the workers could do, by the time that they took for those they did.
    #[allow(clippy::cast_precision_loss, reason = "a day has 10^11 microseconds, far below 2^52")]
    pub(crate) fn measured_capacity(&self) -> Option<f64> {
        let done = self.done.load(Ordering::Relaxed);
        let held = self.held.load(Ordering::Relaxed);
        (held > 0).then(|| f64::from(WORKERS) * done as f64 / held as f64 * 1e6)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pool_does_what_its_capacity_says_and_goes_on_when_callers_have_gone() {
        let pool = Arc::new(Pool::new(1));
        let begun = Instant::now();
        let mut calls = JoinSet::new();
        for _ in 0..20_000 {
            let pool = pool.clone();
            calls.spawn(async move { pool.work().await });
        }
        calls.join_all().await;
        let rate = 20_000.0 / begun.elapsed().as_secs_f64();
        assert!((rate / CAPACITY - 1.0).abs() < 0.05, "{rate} a second");
        let measured = pool.measured_capacity().unwrap();
        assert!((measured / rate - 1.0).abs() < 0.02, "{measured} and {rate} a second");
    }
}
