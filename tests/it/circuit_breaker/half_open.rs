//! How it finds out that the service is back.

use buttress::circuit_breaker::{Phase, Window};
use buttress::observe::EventKind;
use tokio::time::advance;

use super::{Builder, Circuit, Do, SECOND, builder, ms};

fn opens_at_once() -> Builder {
    builder().consecutive_failures(1)
}

async fn half_open(builder: Builder) -> Circuit {
    let circuit = Circuit::new(builder);
    circuit.trip().await;
    circuit.pass_open_time().await;
    circuit
}

#[tokio::test(start_paused = true)]
async fn half_open_is_entered_by_the_first_call_after_the_open_time() {
    let circuit = Circuit::new(opens_at_once());
    circuit.trip().await;
    let left = circuit.handle.snapshot().until.unwrap();
    advance(left - ms(1)).await;
    circuit.refusal();
    advance(ms(1)).await;
    assert_eq!(circuit.phase(), Phase::Open, "no call has come yet");
    circuit.call(Do::Succeed).await.unwrap();
    assert_eq!(circuit.phase(), Phase::HalfOpen);
}

#[tokio::test(start_paused = true)]
async fn at_most_3_probes_at_once_and_calls_beyond_them_are_refused_with_a_time() {
    let circuit = half_open(opens_at_once()).await;
    let probes: Vec<_> = (0..3).map(|_| circuit.start(Do::Hang)).collect();
    assert!(circuit.refusal().retry_after().unwrap() > ms(0));
    drop(probes);
    circuit.call(Do::Succeed).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn three_successes_close_it() {
    for success in [Do::Succeed, Do::BeWrong] {
        let circuit = half_open(opens_at_once()).await;
        circuit.calls(2, success).await;
        assert_eq!(circuit.phase(), Phase::HalfOpen);
        circuit.calls(1, success).await;
        assert_eq!(circuit.phase(), Phase::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_failed_probe_reopens_it_for_longer() {
    for failure in [Do::Fail, Do::Shed(None)] {
        let circuit = half_open(opens_at_once()).await;
        circuit.calls(2, Do::Succeed).await;
        circuit.call(failure).await.unwrap();
        assert_eq!(circuit.phase(), Phase::Open);
        assert_eq!(circuit.handle.snapshot().openings, 2);
        assert!(circuit.refusal().retry_after().unwrap() >= 5 * SECOND, "10 s, half of it drawn");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_slower_than_the_slow_limit_fails() {
    let circuit = half_open(opens_at_once().slow_calls(ms(100), 1.0)).await;
    // Timers round up to a millisecond: 99 leave room for it.
    circuit.call(Do::Take(ms(99))).await.unwrap();
    assert_eq!(circuit.phase(), Phase::HalfOpen);
    circuit.call(Do::Take(ms(101))).await.unwrap();
    assert_eq!(circuit.phase(), Phase::Open);
}

#[tokio::test(start_paused = true)]
async fn ignored_dropped_and_panicking_probes_return_their_slot_and_decide_nothing() {
    let circuit = half_open(opens_at_once().probes(1)).await;
    for round in 0..100 {
        circuit.call(Do::Nothing).await.unwrap();
        drop(circuit.start(Do::Hang));
        let panicked = tokio::spawn(circuit.start_later(Do::Panic)).await;
        assert!(panicked.unwrap_err().is_panic());
        assert_eq!(circuit.phase(), Phase::HalfOpen, "round {round}");
    }
    circuit.calls(3, Do::Succeed).await;
    assert_eq!(circuit.phase(), Phase::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_hung_probe_is_reclaimed_after_half_open_for_and_the_circuit_reopens() {
    let circuit = half_open(opens_at_once().probes(1).half_open_for(2 * SECOND)).await;
    let hung = circuit.start(Do::Hang);
    advance(ms(1_999)).await;
    assert_eq!(circuit.refusal().retry_after(), Some(ms(1)), "a slot by then, or an answer");
    assert_eq!(circuit.phase(), Phase::HalfOpen);
    advance(ms(1)).await;
    circuit.refusal();
    assert_eq!(circuit.phase(), Phase::Open);
    assert_eq!(circuit.handle.snapshot().openings, 2);
    circuit.pass_open_time().await;
    circuit.calls(3, Do::Succeed).await;
    assert_eq!(circuit.phase(), Phase::Closed, "it lives, with the hung probe still out");
    drop(hung);
    assert_eq!(circuit.phase(), Phase::Closed);
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_a_hung_probe_is_the_open_time_by_default() {
    let circuit = half_open(opens_at_once().probes(1).open_for(7 * SECOND)).await;
    let _hung = circuit.start(Do::Hang);
    assert_eq!(circuit.refusal().retry_after(), Some(7 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_reclaimed_circuit_opened_when_the_probe_was_due_not_when_somebody_looked() {
    let circuit = half_open(opens_at_once().probes(1).half_open_for(SECOND)).await;
    let _hung = circuit.start(Do::Hang);
    advance(60 * SECOND).await;
    circuit.call(Do::Succeed).await.expect("that opening, too, was over long ago");
    assert_eq!(circuit.phase(), Phase::HalfOpen);
}

#[tokio::test(start_paused = true)]
async fn low_traffic_closes_it_since_the_clock_runs_only_while_a_probe_is_out() {
    let circuit = half_open(opens_at_once().half_open_for(SECOND)).await;
    for _ in 0..3 {
        assert_ne!(circuit.phase(), Phase::Closed);
        circuit.call(Do::Take(ms(900))).await.unwrap();
        advance(60 * SECOND).await;
    }
    assert_eq!(circuit.phase(), Phase::Closed);
}

#[tokio::test(start_paused = true)]
async fn closing_clears_the_window() {
    let window = Window::count(10);
    let circuit = Circuit::warm(builder().failure_rate(0.5).window(window), window).await;
    circuit.trip().await;
    circuit.pass_open_time().await;
    circuit.calls(3, Do::Succeed).await;
    assert_eq!(circuit.phase(), Phase::Closed);
    assert_eq!(circuit.handle.snapshot().calls, 0);
    circuit.calls(4, Do::Fail).await;
    assert_eq!(circuit.phase(), Phase::Closed, "the failures of before are forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_ramp_admits_an_eighth_first_and_all_at_its_end() {
    let circuit = half_open(opens_at_once().ramp(80 * SECOND)).await;
    circuit.calls(3, Do::Succeed).await;
    let mut shares = Vec::new();
    for _ in 0..9 {
        let mut admitted = 0;
        for _ in 0..4_000 {
            admitted += u32::from(circuit.call(Do::Succeed).await.is_ok());
        }
        shares.push(f64::from(admitted) / 4_000.0);
        advance(10 * SECOND).await;
    }
    for (step, share) in (0u32..).zip(&shares) {
        let expected = (0.125 + 0.875 * f64::from(step) / 8.0).min(1.0);
        // Five standard deviations of 4,000 draws.
        assert!((share - expected).abs() < 0.04, "step {step}: {share} for {expected}");
    }
    assert!((shares[8] - 1.0).abs() < f64::EPSILON, "{shares:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_during_the_ramp_opens_it_again() {
    let circuit = half_open(opens_at_once().ramp(10 * SECOND)).await;
    circuit.calls(3, Do::Succeed).await;
    circuit.calls(1_000, Do::Fail).await;
    assert_eq!(circuit.phase(), Phase::Open);
    assert_eq!(circuit.handle.snapshot().openings, 2);
}

#[tokio::test(start_paused = true)]
async fn a_result_from_before_the_trip_decides_nothing_after_it() {
    let circuit = Circuit::new(opens_at_once().probes(1).close_after(1));
    let old_failure = circuit.start(Do::TakeThenFail(60 * SECOND));
    let old_success = circuit.start(Do::Take(20 * SECOND));
    circuit.trip().await;
    circuit.pass_open_time().await;
    let probe = circuit.start(Do::Take(4 * SECOND));
    assert_eq!(circuit.phase(), Phase::HalfOpen);
    advance(3 * SECOND).await;
    old_success.end().await.unwrap();
    assert_eq!(circuit.late_results(), 1);
    probe.end().await.unwrap();
    let phase = circuit.phase();
    old_failure.end().await.unwrap();
    assert_eq!(circuit.late_results(), 2 + usize::from(phase != Phase::Closed));
    assert_eq!(circuit.phase(), phase, "an old failure opens nothing");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_leaves_no_trace_but_an_event() {
    let window = Window::count(10);
    let circuit = Circuit::warm(builder().failure_rate(0.1).window(window), window).await;
    let before = circuit.handle.snapshot();
    for _ in 0..100 {
        drop(circuit.start(Do::Hang));
    }
    assert_eq!(circuit.handle.snapshot(), before);
    let abandoned = circuit.events().iter().filter(|kind| **kind == EventKind::Abandoned).count();
    assert_eq!(abandoned, 100);
}

#[tokio::test(start_paused = true)]
async fn every_transition_is_told_in_order() {
    let circuit = half_open(opens_at_once()).await;
    circuit.calls(3, Do::Succeed).await;
    let told: Vec<_> = circuit
        .events()
        .into_iter()
        .filter_map(|kind| match kind {
            EventKind::Transitioned { from, to } => Some((from, to)),
            _ => None,
        })
        .collect();
    assert_eq!(
        told,
        [
            (Phase::Closed, Phase::Open),
            (Phase::Open, Phase::HalfOpen),
            (Phase::HalfOpen, Phase::Closed),
        ],
    );
}
