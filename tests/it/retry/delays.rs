//! How long an attempt is held back.

use super::*;

/// Seven attempts, and the pauses between them.
async fn pauses(
    layer: &RetryLayer<ForJobs>,
    script: impl IntoIterator<Item = Say>,
) -> Vec<Duration> {
    let server = Server::says(script);
    let _ = call(layer, &server, Job::new("x")).await;
    server.pauses()
}

fn millis(pauses: &[Duration]) -> Vec<u128> {
    pauses.iter().map(Duration::as_millis).collect()
}

#[tokio::test(start_paused = true)]
async fn the_backoff_grows_up_to_its_cap() {
    let backoff = Backoff::exponential(100 * MS, 500 * MS).jitter(Jitter::None);
    let layer = plain().backoff(backoff).max_attempts(6).build();
    assert_eq!(millis(&pauses(&layer, [Say::Fail(1)]).await), [100, 200, 400, 500, 500]);
}

#[tokio::test(start_paused = true)]
async fn every_pause_of_every_jitter_is_from_0_to_the_cap() {
    for jitter in [Jitter::Full, Jitter::Equal, Jitter::Decorrelated, Jitter::None] {
        let backoff = Backoff::exponential(30 * MS, 200 * MS).jitter(jitter);
        let layer = plain().backoff(backoff).max_attempts(40).seed(3).build();
        for pause in pauses(&layer, [Say::Fail(1)]).await {
            // Timers are late by up to 1 ms.
            assert!(pause <= 201 * MS, "{jitter:?}: {pause:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_calls_of_one_layer_never_share_their_draws_and_a_seed_repeats_them() {
    let run = async |seed| {
        let backoff = Backoff::exponential(SECOND, 1000 * SECOND);
        let builder = plain().backoff(backoff).max_attempts(6);
        let layer = builder.seed(seed).build();
        [pauses(&layer, [Say::Fail(1)]).await, pauses(&layer, [Say::Fail(1)]).await]
    };
    let [one, two] = run(7).await;
    assert_ne!(one, two);
    assert_eq!(run(7).await, [one.clone(), two]);
    assert_ne!(run(8).await[0], one);
}

#[tokio::test(start_paused = true)]
async fn two_layers_without_a_seed_draw_apart() {
    let layer = || plain().backoff(Backoff::exponential(SECOND, 60 * SECOND)).build();
    assert_ne!(pauses(&layer(), [Say::Fail(1)]).await, pauses(&layer(), [Say::Fail(1)]).await);
}

#[tokio::test(start_paused = true)]
async fn overload_starts_at_1_s() {
    let layer = plain().max_attempts(5).build();
    assert_eq!(millis(&pauses(&layer, [Say::Busy(None)]).await), [1000, 2000, 4000, 8000]);
    let mixed = [Say::Fail(1), Say::Busy(None), Say::Fail(1), Say::Busy(None), Say::Good(1)];
    assert_eq!(millis(&pauses(&layer, mixed).await), [100, 1000, 200, 2000]);
}

#[tokio::test(start_paused = true)]
async fn overload_stays_inside_the_cap_and_its_base_can_be_set() {
    let backoff = Backoff::exponential(100 * MS, 300 * MS).jitter(Jitter::None);
    let layer = plain().backoff(backoff).build();
    assert_eq!(millis(&pauses(&layer, [Say::Busy(None)]).await), [300, 300]);
    let layer = plain().overload_base(400 * MS).build();
    assert_eq!(millis(&pauses(&layer, [Say::Busy(None)]).await), [400, 800]);
    // A base that is below the backoff's own changes nothing.
    let layer = plain().overload_base(MS).build();
    assert_eq!(millis(&pauses(&layer, [Say::Busy(None)]).await), [100, 200]);
}

#[tokio::test(start_paused = true)]
async fn a_hint_holds_back_at_least_so_long_and_at_most_a_tenth_longer() {
    let layer = plain().max_attempts(2).build();
    let mut drawn = Vec::new();
    for _ in 0..100 {
        let pause = pauses(&layer, [Say::Busy(Some(10 * SECOND))]).await[0];
        assert!((10 * SECOND..=11 * SECOND + MS).contains(&pause), "{pause:?}");
        drawn.push(pause);
    }
    drawn.sort_unstable();
    drawn.dedup();
    assert!(drawn.len() > 50, "hinted clients return together: {drawn:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hint_shorter_than_the_backoff_does_not_shorten_it() {
    let layer = plain().max_attempts(2).build();
    for hint in [Duration::ZERO, 300 * MS, 999 * MS] {
        assert_eq!(millis(&pauses(&layer, [Say::Busy(Some(hint))]).await), [1000]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_takes_the_place_of_what_jitter_would_draw_above_it() {
    let backoff = Backoff::exponential(100 * MS, 20 * SECOND);
    let of = |jitter| plain().backoff(backoff.jitter(jitter)).max_attempts(6).build();
    for _ in 0..20 {
        // Without it, the fifth pause would be up to 16 s.
        let hinted = pauses(&of(Jitter::Full), [Say::Busy(Some(SECOND))]).await;
        assert!(hinted.iter().all(|pause| (SECOND..=1101 * MS).contains(pause)), "{hinted:?}");
        // The backoff keeps at least half of 1, 2, 4, 8 and 16 s.
        let equal = pauses(&of(Jitter::Equal), [Say::Busy(Some(SECOND))]).await;
        assert!(equal[1] <= 1101 * MS && equal[2] >= 2 * SECOND, "{equal:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_of_nothing_leaves_it_to_the_backoff() {
    let layer = plain().backoff(Backoff::exponential(SECOND, 20 * SECOND)).max_attempts(2).build();
    let mut sum = Duration::ZERO;
    for _ in 0..100 {
        sum += pauses(&layer, [Say::Busy(Some(Duration::ZERO))]).await[0];
    }
    assert!((35 * SECOND..65 * SECOND).contains(&sum), "half a second on average: {sum:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pushback_is_exact_and_the_backoff_starts_over() {
    let script = [
        Say::Fail(1),
        Say::Fail(1),
        Say::PushBack(7 * SECOND),
        Say::Fail(1),
        Say::PushBack(Duration::ZERO),
        Say::Fail(1),
        Say::Good(1),
    ];
    let layer = plain().max_attempts(9).build();
    assert_eq!(millis(&pauses(&layer, script).await), [100, 200, 7000, 100, 0, 100]);
}

#[tokio::test(start_paused = true)]
async fn any_iterator_of_durations_can_stand_in_for_the_backoff() {
    let fibonacci =
        || std::iter::successors(Some((MS, 2 * MS)), |(a, b)| Some((*b, *a + *b))).map(|(a, _)| a);
    let layer = plain().delays(fibonacci).max_attempts(6).build();
    assert_eq!(millis(&pauses(&layer, [Say::Fail(1)]).await), [1, 2, 3, 5, 8]);
    // Each call has its own.
    assert_eq!(millis(&pauses(&layer, [Say::Busy(None)]).await), [1, 2, 3, 5, 8]);
    let pushed = [Say::Fail(1), Say::Fail(1), Say::PushBack(9 * MS), Say::Fail(1), Say::Good(1)];
    assert_eq!(millis(&pauses(&layer, pushed).await), [1, 2, 9, 1]);
}

#[tokio::test(start_paused = true)]
async fn of_backoff_and_delays_the_last_one_named_holds() {
    let backoff = Backoff::exponential(40 * MS, SECOND).jitter(Jitter::None);
    let layer = plain().delays(|| [MS, MS]).backoff(backoff).build();
    assert_eq!(millis(&pauses(&layer, [Say::Fail(1)]).await), [40, 80]);
    let layer = plain().backoff(backoff).delays(|| [MS, MS]).build();
    assert_eq!(millis(&pauses(&layer, [Say::Fail(1)]).await), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn the_longest_delays_are_no_error() {
    let backoff = Backoff::exponential(Duration::MAX, Duration::MAX).jitter(Jitter::None);
    let layer = plain().backoff(backoff).build();
    let server = Server::says([Say::Fail(1)]);
    let years = Duration::from_secs(60 * 60 * 24 * 365 * 20);
    let waits = tokio::time::timeout(years, call(&layer, &server, Job::new("x"))).await;
    assert!(waits.is_err());
    let hinted = Server::says([Say::Busy(Some(Duration::MAX))]);
    let waits = tokio::time::timeout(years, call(&layer, &hinted, Job::new("x"))).await;
    assert!(waits.is_err());
}

#[tokio::test(start_paused = true)]
async fn no_attempt_starts_after_the_deadline_or_too_close_to_it() {
    for left in 0..450 {
        let deadline = Deadline::after(left * MS);
        let server = Server::says([Say::Fail(1)]);
        let layer = plain().min_attempt(50 * MS).build();
        call(&layer, &server, Job::due(deadline)).await.unwrap_err();
        for at in &server.times()[1..] {
            assert!(*at + 50 * MS <= left * MS, "at {at:?} with a deadline at {left} ms");
        }
        let expected = match left {
            0..150 => 1,
            150..350 => 2,
            _ => 3,
        };
        assert_eq!(server.calls(), expected, "with a deadline at {left} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn no_attempt_starts_after_the_deadline_whatever_the_grain_of_the_timers() {
    for micros in (0..5_000).step_by(37) {
        let micros = Duration::from_micros(micros);
        tokio::time::advance(Duration::from_micros(313)).await;
        let (start, server) = (Instant::now(), Server::says([Say::Fail(1)]));
        let backoff = Backoff::exponential(Duration::from_micros(700), 20 * SECOND);
        let builder = plain().backoff(backoff).max_attempts(8).min_attempt(Duration::ZERO);
        let _ = call(&builder.build(), &server, Job::due(Deadline::at(start + micros))).await;
        assert!(server.times()[1..].iter().all(|at| *at < micros), "{:?}", server.times());
    }
}
