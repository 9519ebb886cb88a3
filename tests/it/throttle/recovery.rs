//! Outages: how soon they are seen, what passes meanwhile, and how they end.

use super::*;

impl Rig {
    /// A call each 100 ms for so long; how many reached the service.
    async fn run(&mut self, time: Duration, ask: Ask) -> usize {
        let before = self.sent();
        for _ in 0..time.as_millis() / 100 {
            self.reaches(ask).await;
            advance(100 * MS).await;
        }
        self.sent() - before
    }
}

#[tokio::test(start_paused = true)]
async fn after_ten_windows_of_healthy_traffic_an_outage_is_seen_as_soon_as_after_one() {
    let mut first_refusals = Vec::new();
    for windows in [1, 10] {
        let mut rig = Rig::new();
        assert_eq!(rig.run(windows * WINDOW, Ask::Answer(1)).await, windows as usize * 1_200);
        let mut passed = 0;
        while rig.reaches(Ask::Fail(BUSY)).await {
            passed += 1;
            advance(100 * MS).await;
        }
        first_refusals.push(passed);
    }
    // With K = 2, when half of the window has been lost: after a minute, give or take the draws.
    assert!(first_refusals.iter().all(|passed| (580..720).contains(passed)), "{first_refusals:?}");
}

#[tokio::test(start_paused = true)]
async fn a_floor_of_requests_per_second_always_passes() {
    for floor in [1.0, 3.0] {
        let mut rig = Rig::with(|builder| builder.floor(floor));
        rig.run(10 * WINDOW, Ask::Answer(1)).await;
        rig.run(3 * WINDOW, Ask::Fail(BUSY)).await;
        let mut passed = Vec::new();
        for _ in 0..60 {
            passed.push(rig.run(SECOND, Ask::Fail(BUSY)).await);
        }
        let sum: usize = passed.iter().sum();
        let least = if floor > 1.0 { 3 } else { 1 };
        assert!(passed.iter().all(|passed| *passed >= least), "{passed:?}");
        assert!(sum <= 61 * least + 5, "and hardly any more: {passed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_floor_hardly_anything_passes() {
    let mut rig = Rig::new();
    rig.run(3 * WINDOW, Ask::Fail(BUSY)).await;
    let passed = rig.run(60 * SECOND, Ask::Fail(BUSY)).await;
    assert!(passed <= 5, "{passed}");
}

#[tokio::test(start_paused = true)]
async fn recovery_is_seen() {
    let mut rig = Rig::with(|builder| builder.floor(1.0));
    rig.run(10 * WINDOW, Ask::Answer(1)).await;
    rig.run(2 * WINDOW, Ask::Fail(BUSY)).await;
    assert!(rig.handle.probability() > 0.95);
    // Every request that passes now is accepted, and lets twice as many pass.
    let healed = tokio::time::Instant::now();
    while rig.handle.probability() > 0.0 {
        rig.run(SECOND, Ask::Answer(1)).await;
    }
    assert!(healed.elapsed() < 2 * WINDOW, "{:?}", healed.elapsed());
    assert_eq!(rig.run(10 * SECOND, Ask::Answer(1)).await, 100);
}

#[tokio::test(start_paused = true)]
async fn the_service_gets_about_k_times_what_it_accepts() {
    // A tenth of ten calls a second is accepted.
    for (k, rejected_for_each) in [(2.0, 1.0), (1.1, 0.1)] {
        let mut rig = Rig::with(|builder| builder.multiplier(k));
        let (mut accepted, mut rejected) = (0.0, 0.0);
        for n in 0..48_000_u32 {
            let room = f64::from(n) / 10.0 > accepted;
            let sent = rig.reaches(if room { Ask::Answer(1) } else { Ask::Fail(BUSY) }).await;
            match room {
                true => accepted += f64::from(u8::from(sent)),
                false if n > 12_000 => rejected += f64::from(u8::from(sent)),
                false => {}
            }
            advance(100 * MS).await;
        }
        let found = rejected / (accepted * 0.75);
        assert!((found - rejected_for_each).abs() < 0.12 * rejected_for_each + 0.02, "{found}");
    }
}
