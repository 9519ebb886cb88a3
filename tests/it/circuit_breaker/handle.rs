//! What an operator can do.

use std::time::Duration;

use buttress::Class;
use buttress::circuit_breaker::{CircuitBreakerLayer, Phase, Window};
use buttress::observe::EventKind;
use tokio::time::advance;

use super::{Builder, Circuit, Do, SECOND, builder, ms};

const TEN: Window = Window::Count(10);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

fn half_of_ten() -> Builder {
    builder().failure_rate(0.5).window(TEN)
}

#[tokio::test(start_paused = true)]
async fn forced_open_refuses_without_a_time_until_the_operator_says_otherwise() {
    let circuit = Circuit::warm(half_of_ten(), TEN).await;
    circuit.handle.force_open("maintenance");
    for _ in 0..3 {
        assert_eq!(circuit.refusal().retry_after(), None);
        advance(YEAR).await;
        assert_eq!(circuit.phase(), Phase::ForcedOpen);
    }
    let snapshot = circuit.handle.snapshot();
    assert_eq!(snapshot.forced_because.as_deref(), Some("maintenance"));
    assert_eq!((snapshot.since, snapshot.until), (3 * YEAR, None));
    circuit.handle.auto();
    assert_eq!(circuit.phase(), Phase::Closed);
    circuit.call(Do::Succeed).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn disabled_admits_all_and_still_counts() {
    let circuit = Circuit::warm(half_of_ten(), TEN).await;
    circuit.handle.disable();
    circuit.calls(1_000, Do::Fail).await;
    assert_eq!(circuit.phase(), Phase::Disabled);
    assert_eq!(circuit.handle.snapshot().failed, 10);
    circuit.handle.auto();
    assert_eq!(circuit.phase(), Phase::Closed);
    circuit.call(Do::Succeed).await.unwrap();
    assert_eq!(circuit.phase(), Phase::Open, "what was counted is checked at the next result");
}

#[tokio::test(start_paused = true)]
async fn results_from_before_an_operators_command_are_late() {
    let circuit = Circuit::warm(builder().consecutive_failures(1), TEN).await;
    let out = circuit.start(Do::TakeThenFail(SECOND));
    circuit.handle.reset();
    out.end().await.unwrap();
    assert_eq!(circuit.phase(), Phase::Closed);
    assert_eq!(circuit.late_results(), 1);
}

#[tokio::test(start_paused = true)]
async fn reset_closes_from_any_state_and_forgets_everything() {
    let circuit = Circuit::warm(half_of_ten().ramp(SECOND), TEN).await;
    circuit.trip().await;
    circuit.handle.reset();
    let snapshot = circuit.handle.snapshot();
    assert_eq!((snapshot.phase, snapshot.calls, snapshot.openings), (Phase::Closed, 0, 0));
    assert_eq!((snapshot.consecutive_failures, snapshot.last_failure), (0, None));
    for _ in 0..100 {
        circuit.call(Do::Succeed).await.expect("a reset is no recovery: there is no ramp");
    }
    circuit.handle.force_open("drill");
    circuit.handle.reset();
    assert_eq!(circuit.phase(), Phase::Closed);
    circuit.handle.disable();
    circuit.handle.reset();
    assert_eq!(circuit.phase(), Phase::Closed);
}

#[tokio::test(start_paused = true)]
async fn auto_changes_nothing_that_is_automatic() {
    let circuit = Circuit::warm(half_of_ten(), TEN).await;
    circuit.trip().await;
    let before = circuit.handle.snapshot();
    circuit.handle.auto();
    assert_eq!(circuit.handle.snapshot(), before);
}

#[tokio::test(start_paused = true)]
async fn a_reset_of_a_closed_circuit_is_no_transition() {
    let circuit = Circuit::new(half_of_ten());
    circuit.handle.reset();
    assert_eq!(circuit.events(), []);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_holds_phase_times_rates_and_the_last_failure() {
    let circuit = Circuit::new(half_of_ten().slow_calls(ms(100), 1.0));
    circuit.calls(3, Do::Succeed).await;
    circuit.calls(1, Do::Take(ms(200))).await;
    circuit.calls(1, Do::Shed(Some(SECOND))).await;
    advance(SECOND).await;
    let snapshot = circuit.handle.snapshot();
    assert_eq!((snapshot.phase, snapshot.since), (Phase::Closed, ms(1_200)));
    assert_eq!((snapshot.calls, snapshot.failed, snapshot.slow), (5, 1, 1));
    assert!((snapshot.failure_rate - 0.2).abs() < 1e-9);
    assert!((snapshot.slow_rate - 0.2).abs() < 1e-9);
    assert_eq!(snapshot.last_failure, Some(Class::Overload { retry_after: Some(SECOND) }));
    circuit.trip().await;
    let snapshot = circuit.handle.snapshot();
    assert!(snapshot.until.unwrap() <= 5 * SECOND);
    assert_eq!(snapshot.last_failure, Some(Class::Transient));
}

#[tokio::test(start_paused = true)]
async fn a_new_instance_takes_over_an_outage() {
    let old = Circuit::new(builder().consecutive_failures(1));
    old.trip().await;
    old.pass_open_time().await;
    old.trip().await;
    let left = old.handle.snapshot().until.unwrap();

    let new = Circuit::new(builder().consecutive_failures(1));
    new.handle.hydrate(&old.handle.snapshot());
    assert_eq!(new.phase(), Phase::Open);
    assert_eq!(new.refusal().retry_after(), Some(left));
    new.pass_open_time().await;
    new.call(Do::Fail).await.unwrap();
    assert_eq!(new.handle.snapshot().openings, 3, "it goes on where the old one left off");
}

#[tokio::test(start_paused = true)]
async fn hydrating_cuts_nonsense_to_the_longest_open_time() {
    let old = Circuit::new(builder().consecutive_failures(1).open_for(YEAR));
    old.trip().await;
    let mut snapshot = old.handle.snapshot();
    snapshot.since = Duration::MAX;
    let new = Circuit::new(builder().consecutive_failures(1));
    new.handle.hydrate(&snapshot);
    assert_eq!(new.refusal().retry_after(), Some(300 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn hydrating_restores_every_state() {
    let old = Circuit::new(builder().consecutive_failures(1));
    let new = || Circuit::new(builder().consecutive_failures(1));
    old.trip().await;
    old.pass_open_time().await;
    let _probe = old.start(Do::Hang);
    let half_open = new();
    half_open.handle.hydrate(&old.handle.snapshot());
    half_open.calls(3, Do::Succeed).await;
    assert_eq!(half_open.phase(), Phase::Closed, "its own probes decide");

    old.handle.force_open("drill");
    let forced = new();
    forced.handle.hydrate(&old.handle.snapshot());
    assert_eq!(forced.handle.snapshot().forced_because.as_deref(), Some("drill"));

    old.handle.disable();
    let disabled = new();
    disabled.handle.hydrate(&old.handle.snapshot());
    assert_eq!(disabled.phase(), Phase::Disabled);

    old.handle.reset();
    disabled.handle.hydrate(&old.handle.snapshot());
    assert_eq!(disabled.phase(), Phase::Closed);
}

#[tokio::test(start_paused = true)]
async fn shadow_mode_decides_and_reports_and_admits_all() {
    let circuit = Circuit::warm(half_of_ten().shadow(), TEN).await;
    circuit.calls(5, Do::Fail).await;
    assert_eq!(circuit.phase(), Phase::Open, "it decides");
    for _ in 0..20 {
        circuit.call(Do::Succeed).await.expect("it admits");
    }
    let reported =
        circuit.events().iter().filter(|kind| matches!(kind, EventKind::WouldReject(_))).count();
    assert_eq!(reported, 20, "it reports");
    circuit.pass_open_time().await;
    circuit.calls(3, Do::Succeed).await;
    assert_eq!(circuit.phase(), Phase::Closed, "and it finds its way back");
}

#[tokio::test(start_paused = true)]
async fn one_layer_value_is_one_circuit_and_two_are_two() {
    use tower::{Layer, ServiceExt, service_fn};
    let layer = CircuitBreakerLayer::builder().consecutive_failures(1).build();
    let failing = || service_fn(async |(): ()| Err::<(), buttress::BoxError>("down".into()));
    let clone = layer.clone();
    layer.layer(failing()).oneshot(()).await.unwrap_err();
    let refused = clone.layer(failing()).oneshot(()).await.unwrap_err();
    assert!(buttress::Rejected::find(&*refused).is_some(), "{refused}");
    let other = CircuitBreakerLayer::builder().consecutive_failures(1).build();
    let own = other.layer(failing()).oneshot(()).await.unwrap_err();
    assert!(buttress::Rejected::find(&*own).is_none());
}
