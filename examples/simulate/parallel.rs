//! Runs are independent of each other: each has a runtime of its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

/// What `work` makes of each item, in their order, on all cores.
pub(crate) fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let (done, results) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..threads {
            let (next, work, done) = (&next, &work, done.clone());
            scope.spawn(move || {
                while let Some((index, item)) = take(items, next) {
                    // The receiver is alive as long as the scope.
                    let _ = done.send((index, work(item)));
                }
            });
        }
    });
    drop(done);
    let mut results: Vec<_> = results.into_iter().collect();
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

fn take<'a, T>(items: &'a [T], next: &AtomicUsize) -> Option<(usize, &'a T)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    Some((index, items.get(index)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_items() {
        let items: Vec<u64> = (0..1000).collect();
        let doubled: Vec<u64> = (0..1000).map(|n| n * 2).collect();
        assert_eq!(in_parallel(&items, |n| n * 2), doubled);
        assert!(in_parallel(&[] as &[u64], |n| *n).is_empty());
    }
}
