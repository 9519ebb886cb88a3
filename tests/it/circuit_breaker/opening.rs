//! How long it stays open.

use buttress::circuit_breaker::{Phase, Window};
use tokio::time::{Instant, advance};

use super::{Builder, Circuit, Do, SECOND, builder, ms};

fn consecutive() -> Builder {
    builder().consecutive_failures(1).probes(1).close_after(1)
}

/// The open times drawn in a row: each probe fails at once.
async fn openings(circuit: &Circuit, count: usize) -> Vec<u128> {
    let mut drawn = Vec::new();
    for _ in 0..count {
        circuit.call(Do::Fail).await.unwrap();
        drawn.push(circuit.handle.snapshot().until.unwrap().as_millis());
        circuit.pass_open_time().await;
    }
    drawn
}

#[tokio::test(start_paused = true)]
async fn the_kth_opening_doubles_up_to_the_maximum_with_half_of_it_drawn() {
    let circuit = Circuit::new(consecutive().open_for(SECOND).open_for_at_most(20 * SECOND));
    let drawn = openings(&circuit, 40).await;
    for (k, drawn) in drawn.iter().enumerate() {
        let full = (1000u128 << k.min(10)).min(20_000);
        assert!(full / 2 <= *drawn && *drawn <= full, "opening {}: {drawn} of {full}", k + 1);
    }
    let distinct: std::collections::BTreeSet<_> = drawn.iter().skip(5).collect();
    assert!(distinct.len() > 10, "the same base draws different times: {drawn:?}");
}

#[tokio::test(start_paused = true)]
async fn the_defaults_are_5_seconds_and_5_minutes() {
    let circuit = Circuit::new(consecutive());
    let drawn = openings(&circuit, 12).await;
    assert!((2_500..=5_000).contains(&drawn[0]), "{drawn:?}");
    assert!((150_000..=300_000).contains(&drawn[11]), "{drawn:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hint_lengthens_the_opening_up_to_the_maximum() {
    for (hint, expected) in [(60, 60), (3600, 300)] {
        let circuit = Circuit::new(builder().failure_rate(1.0).window(Window::count(1)));
        circuit.call(Do::Shed(Some(hint * SECOND))).await.unwrap();
        assert_eq!(circuit.refusal().retry_after(), Some(expected * SECOND));
    }
    let circuit = Circuit::new(builder().failure_rate(1.0).window(Window::count(1)));
    circuit.call(Do::Shed(Some(ms(1)))).await.unwrap();
    assert!(circuit.refusal().retry_after().unwrap() >= ms(2_500), "a hint never shortens it");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_asked_to_wait_reopens_for_that_long() {
    let circuit = Circuit::new(consecutive());
    circuit.trip().await;
    circuit.pass_open_time().await;
    circuit.call(Do::Shed(Some(100 * SECOND))).await.unwrap();
    assert_eq!(circuit.refusal().retry_after(), Some(100 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn openings_in_a_row_start_again_only_after_a_whole_window_without_a_trip() {
    let window = Window::time(10 * SECOND);
    let flapping = consecutive().open_for(SECOND).window(window);
    let circuit = Circuit::warm(flapping, window).await;
    for k in 1..=4 {
        circuit.call(Do::Fail).await.unwrap();
        assert_eq!(circuit.handle.snapshot().openings, k, "closed too shortly in between");
        circuit.pass_open_time().await;
        circuit.call(Do::Succeed).await.unwrap();
        assert_eq!(circuit.phase(), Phase::Closed);
        advance(ms(9_999)).await;
    }
    circuit.call(Do::Fail).await.unwrap();
    assert_eq!(circuit.handle.snapshot().openings, 5);
    circuit.pass_open_time().await;
    circuit.call(Do::Succeed).await.unwrap();
    advance(10 * SECOND).await;
    circuit.call(Do::Fail).await.unwrap();
    assert_eq!(circuit.handle.snapshot().openings, 1, "a whole window was stable");
}

#[tokio::test(start_paused = true)]
async fn for_a_count_window_a_stable_close_is_a_window_full_of_calls() {
    let window = Window::count(10);
    let circuit = Circuit::warm(consecutive().window(window), window).await;
    circuit.call(Do::Fail).await.unwrap();
    for (healthy, openings) in [(0, 2), (9, 3), (10, 1)] {
        circuit.pass_open_time().await;
        circuit.call(Do::Succeed).await.unwrap();
        assert_eq!(circuit.phase(), Phase::Closed);
        circuit.calls(healthy, Do::Succeed).await;
        circuit.call(Do::Fail).await.unwrap();
        assert_eq!(circuit.handle.snapshot().openings, openings, "after {healthy}");
    }
}

#[tokio::test(start_paused = true)]
async fn failures_that_arrive_while_open_never_extend_it() {
    let circuit = Circuit::new(consecutive());
    let mut slow: Vec<_> = (1..=5).map(|n| circuit.start(Do::TakeThenFail(n * ms(100)))).collect();
    circuit.trip().await;
    let until = Instant::now() + circuit.handle.snapshot().until.unwrap();
    for call in slow.drain(..) {
        call.end().await.unwrap();
    }
    assert_eq!(Instant::now() + circuit.handle.snapshot().until.unwrap(), until);
    assert_eq!(circuit.handle.snapshot().openings, 1);
    assert_eq!(circuit.late_results(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_how_long_and_by_whom() {
    let circuit = Circuit::new(consecutive());
    circuit.trip().await;
    let left = circuit.handle.snapshot().until.unwrap();
    let refusal = circuit.refusal();
    assert_eq!((refusal.retry_after(), refusal.name()), (Some(left), Some("payments")));
    assert!(!refusal.was_dispatched());
    advance(SECOND).await;
    assert_eq!(circuit.refusal().retry_after(), Some(left - SECOND));
}

#[tokio::test(start_paused = true)]
async fn one_seed_draws_the_same_times_and_no_seed_draws_others() {
    let first = openings(&Circuit::new(consecutive()), 8).await;
    assert_eq!(openings(&Circuit::new(consecutive()), 8).await, first);
}
