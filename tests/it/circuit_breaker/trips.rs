//! When the circuit opens.

use buttress::circuit_breaker::{CircuitBreakerLayer, Phase, Window};
use tokio::time::advance;

use super::{Circuit, Do, SECOND, builder, ms};

const TEN: Window = Window::Count(10);

#[tokio::test(start_paused = true)]
async fn the_default_is_half_of_at_least_20_calls_in_10_seconds() {
    let circuit = Circuit::warm(builder(), Window::time(10 * SECOND)).await;
    advance(10 * SECOND).await;
    circuit.calls(10, Do::Succeed).await;
    circuit.calls(9, Do::Fail).await;
    assert_eq!(circuit.phase(), Phase::Closed, "19 calls are below the minimum");
    circuit.call(Do::Fail).await.unwrap();
    assert_eq!(circuit.phase(), Phase::Open, "10 of 20");
}

#[tokio::test(start_paused = true)]
async fn a_rate_trips_when_it_is_reached_not_only_exceeded() {
    for (rate, failures) in [(0.3, 3), (0.5, 5), (2.0 / 3.0, 7), (1.0, 10)] {
        let circuit = Circuit::warm(builder().failure_rate(rate).window(TEN), TEN).await;
        circuit.calls(failures - 1, Do::Fail).await;
        assert_eq!(circuit.phase(), Phase::Closed, "{rate}: {} of 10", failures - 1);
        circuit.calls(1, Do::Fail).await;
        assert_eq!(circuit.phase(), Phase::Open, "{rate}: {failures} of 10");
    }
}

#[tokio::test(start_paused = true)]
async fn a_count_window_of_10_at_half_opens_at_the_5th_failure_after_10_000_successes() {
    let circuit = Circuit::new(builder().failure_rate(0.5).window(TEN));
    circuit.calls(10_000, Do::Succeed).await;
    circuit.calls(4, Do::Fail).await;
    assert_eq!(circuit.phase(), Phase::Closed);
    circuit.calls(1, Do::Fail).await;
    assert_eq!(circuit.phase(), Phase::Open);
}

#[tokio::test(start_paused = true)]
async fn a_time_window_opens_as_soon_after_hours_of_successes_as_after_none() {
    let window = Window::time(10 * SECOND);
    let cold = Circuit::new(builder().failure_rate(0.5).window(window).minimum_calls(10));
    cold.calls(10, Do::Fail).await;
    assert_eq!(cold.phase(), Phase::Open);

    let warm = builder().failure_rate(0.5).window(window).minimum_calls(10);
    let warm = Circuit::warm(warm, window).await;
    advance(10 * SECOND).await;
    warm.calls(9, Do::Fail).await;
    assert_eq!(warm.phase(), Phase::Closed);
    warm.calls(1, Do::Fail).await;
    assert_eq!(warm.phase(), Phase::Open);
}

#[tokio::test(start_paused = true)]
async fn a_count_window_smaller_than_the_minimum_can_open() {
    let five = Window::count(5);
    let circuit = Circuit::new(builder().failure_rate(1.0).window(five).minimum_calls(20));
    circuit.calls(4, Do::Fail).await;
    assert_eq!(circuit.phase(), Phase::Closed);
    circuit.calls(1, Do::Fail).await;
    assert_eq!(circuit.phase(), Phase::Open);
}

#[tokio::test(start_paused = true)]
async fn a_count_window_with_a_smaller_minimum_opens_before_it_is_full() {
    let circuit = Circuit::new(builder().failure_rate(0.5).window(TEN).minimum_calls(4));
    circuit.calls(4, Do::Fail).await;
    assert_eq!(circuit.phase(), Phase::Open);
}

#[tokio::test(start_paused = true)]
async fn consecutive_failures_trip_and_a_success_starts_them_again() {
    let window = Window::time(10 * SECOND);
    for reset in [Do::Succeed, Do::BeWrong] {
        let circuit = Circuit::warm(builder().consecutive_failures(3), window).await;
        circuit.calls(2, Do::Fail).await;
        circuit.call(reset).await.unwrap();
        circuit.calls(2, Do::Fail).await;
        assert_eq!(circuit.phase(), Phase::Closed);
        circuit.calls(1, Do::Fail).await;
        assert_eq!(circuit.phase(), Phase::Open);
    }
}

#[tokio::test(start_paused = true)]
async fn overload_and_ignore_leave_the_consecutive_failures_as_they_are() {
    let circuit = Circuit::new(builder().consecutive_failures(3));
    circuit.calls(2, Do::Fail).await;
    circuit.calls(50, Do::Shed(None)).await;
    circuit.calls(50, Do::Nothing).await;
    assert_eq!(circuit.phase(), Phase::Closed, "neither is a consecutive failure");
    circuit.calls(1, Do::Fail).await;
    assert_eq!(circuit.phase(), Phase::Open, "nor does either end the row");
}

#[tokio::test(start_paused = true)]
async fn naming_a_trip_replaces_the_default_one() {
    let circuit = Circuit::new(builder().consecutive_failures(3));
    for _ in 0..100 {
        circuit.calls(2, Do::Fail).await;
        circuit.calls(1, Do::Succeed).await;
    }
    assert_eq!(circuit.phase(), Phase::Closed, "two thirds failed, but no rate was asked for");
}

#[tokio::test(start_paused = true)]
async fn several_named_trips_are_alternatives() {
    let both = || builder().consecutive_failures(3).failure_rate(0.5).window(TEN);
    let circuit = Circuit::warm(both(), TEN).await;
    circuit.calls(3, Do::Fail).await;
    assert_eq!(circuit.phase(), Phase::Open, "three in a row, although only 3 of 10");

    let circuit = Circuit::warm(both(), TEN).await;
    for _ in 0..4 {
        circuit.calls(1, Do::Fail).await;
        circuit.calls(1, Do::Succeed).await;
    }
    assert_eq!(circuit.phase(), Phase::Closed);
    circuit.calls(1, Do::Fail).await;
    assert_eq!(circuit.phase(), Phase::Open, "5 of 10, although never two in a row");
}

#[tokio::test(start_paused = true)]
async fn overload_is_a_failure_by_rate() {
    let circuit = Circuit::warm(builder().failure_rate(0.5).window(TEN), TEN).await;
    circuit.calls(5, Do::Shed(None)).await;
    assert_eq!(circuit.phase(), Phase::Open);
}

#[tokio::test(start_paused = true)]
async fn permanent_is_a_success_and_ignore_is_not_counted() {
    let circuit = Circuit::warm(builder().failure_rate(0.5).window(TEN), TEN).await;
    circuit.calls(4, Do::Fail).await;
    circuit.calls(1000, Do::Nothing).await;
    assert_eq!(circuit.handle.snapshot().failed, 4, "what says nothing evicts nothing");
    circuit.calls(100, Do::BeWrong).await;
    assert_eq!(circuit.handle.snapshot().failed, 0);
    assert_eq!(circuit.phase(), Phase::Closed);
}

#[tokio::test(start_paused = true)]
async fn slow_calls_trip_and_a_slow_success_can_be_the_one_that_does() {
    let slow = builder().slow_calls(ms(100), 0.5).window(TEN);
    let circuit = Circuit::warm(slow, TEN).await;
    circuit.calls(20, Do::Take(ms(100))).await;
    assert_eq!(circuit.phase(), Phase::Closed, "exactly the limit is not slow");
    circuit.calls(4, Do::Take(ms(101))).await;
    circuit.calls(100, Do::Fail).await;
    assert_eq!(circuit.phase(), Phase::Closed, "failures were not asked for");
    circuit.calls(4, Do::Take(ms(101))).await;
    assert_eq!(circuit.phase(), Phase::Closed);
    circuit.calls(1, Do::Take(ms(101))).await;
    assert_eq!(circuit.phase(), Phase::Open);
}

#[tokio::test(start_paused = true)]
async fn a_window_holds_failed_and_slow_of_each_call() {
    let circuit = Circuit::new(builder().slow_calls(ms(100), 1.0).failure_rate(1.0).window(TEN));
    circuit.calls(2, Do::TakeThenFail(ms(200))).await;
    circuit.calls(3, Do::Take(ms(200))).await;
    circuit.calls(1, Do::Fail).await;
    let snapshot = circuit.handle.snapshot();
    assert_eq!((snapshot.calls, snapshot.failed, snapshot.slow), (6, 3, 5));
}

#[tokio::test(start_paused = true)]
async fn a_time_window_survives_60_idle_days() {
    let window = Window::time(10 * SECOND);
    let circuit = Circuit::warm(builder().failure_rate(0.5).window(window), window).await;
    circuit.calls(9, Do::Fail).await;
    advance(60 * 24 * 60 * 60 * SECOND).await;
    assert_eq!(circuit.handle.snapshot().calls, 0);
    circuit.calls(19, Do::Fail).await;
    assert_eq!(circuit.phase(), Phase::Closed, "nothing of two months ago counts");
    circuit.calls(1, Do::Fail).await;
    assert_eq!(circuit.phase(), Phase::Open);
}

#[tokio::test(start_paused = true)]
async fn reads_advance_the_window_as_writes_do() {
    let circuit = Circuit::new(builder().window(Window::time(10 * SECOND)));
    circuit.calls(9, Do::Fail).await;
    advance(ms(9_999)).await;
    assert_eq!(circuit.handle.snapshot().failed, 9);
    advance(ms(1)).await;
    let snapshot = circuit.handle.snapshot();
    assert_eq!((snapshot.calls, snapshot.failed), (0, 0));
    assert!(snapshot.failure_rate.abs() < f64::EPSILON);
}

#[test]
fn nonsense_is_refused_with_the_setting_the_value_and_what_is_allowed() {
    let built = |builder: super::Builder| builder.try_build().unwrap_err().to_string();
    let zero = ms(0);
    let of = CircuitBreakerLayer::builder;
    let share = "more than 0 and at most 1";
    assert_eq!(
        built(of().failure_rate(0.0)),
        format!("circuit_breaker.failure_rate is 0.0, allowed is {share}"),
    );
    assert_eq!(
        built(of().failure_rate(f64::NAN)),
        format!("circuit_breaker.failure_rate is NaN, allowed is {share}"),
    );
    assert_eq!(
        built(of().slow_calls(ms(5), 1.01)),
        format!("circuit_breaker.slow_calls.rate is 1.01, allowed is {share}"),
    );
    for (builder, setting) in [
        (of().slow_calls(zero, 0.5), "circuit_breaker.slow_calls.longer_than"),
        (of().consecutive_failures(0), "circuit_breaker.consecutive_failures"),
        (of().minimum_calls(0), "circuit_breaker.minimum_calls"),
        (of().window(Window::count(0)), "circuit_breaker.window"),
        (of().window(Window::count(10_000_001)), "circuit_breaker.window"),
        (of().window(Window::time(zero)), "circuit_breaker.window"),
        (of().open_for(zero), "circuit_breaker.open_for"),
        (of().open_for(ms(2)).open_for_at_most(ms(1)), "circuit_breaker.open_for_at_most"),
        (of().probes(0), "circuit_breaker.probes"),
        (of().probes(100_001), "circuit_breaker.probes"),
        (of().close_after(0), "circuit_breaker.close_after"),
        (of().half_open_for(zero), "circuit_breaker.half_open_for"),
        (of().ramp(zero), "circuit_breaker.ramp"),
    ] {
        let error = builder.try_build().unwrap_err();
        assert_eq!(error.setting(), setting);
        assert!(!error.value().is_empty() && !error.allowed().is_empty());
    }
}

#[test]
#[should_panic(expected = "circuit_breaker.probes is 0, allowed is 1 to 100,000")]
fn build_panics_with_what_try_build_says() {
    let _ = CircuitBreakerLayer::builder().probes(0).build();
}

#[tokio::test(start_paused = true)]
async fn extreme_durations_do_not_panic() {
    let forever = std::time::Duration::MAX;
    let circuit = Circuit::new(
        builder()
            .consecutive_failures(1)
            .open_for(forever)
            .half_open_for(forever)
            .ramp(forever)
            .window(Window::time(forever)),
    );
    circuit.calls(1, Do::Fail).await;
    assert!(circuit.refusal().retry_after().unwrap() > 365 * 24 * 3600 * SECOND);
    circuit.handle.reset();
    circuit.call(Do::Shed(Some(forever))).await.unwrap();
    assert_eq!(circuit.phase(), Phase::Closed);
}
