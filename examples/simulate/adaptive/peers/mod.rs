//! The limits of other projects, to compare with: each re-stated from its published formula, with
//! its own defaults. What they do with a call that ended is in the head of each file, and so is
//! what has been simplified.
//!
//! A project's least and largest limit are defaults too, and hold within the layer's.

mod bbr;
mod bounds;
mod congestion_limiter;
mod envoy;
mod failsafe;
mod little_loadshedder;
mod netflix;
mod netflix_gradient;
mod netflix_windowed;
mod sequence;
mod statistics;
mod tower_acc;
mod tower_resilience;
mod vector;

use buttress::adaptive_limit::Algorithm;

use bbr::Bbr;
use congestion_limiter::CongestionLimiter;
use envoy::Envoy;
use failsafe::Failsafe;
use little_loadshedder::LittleLoadshedder;
use netflix_gradient::GradientLimit;
use netflix_windowed::Windowed;
use tower_acc::TowerAcc;
use tower_resilience::TowerResilience;
use vector::Vector;

/// A limit's name, and what makes one.
pub(crate) type Peer = (&'static str, fn() -> Box<dyn Algorithm>);

/// All of them, by project.
pub(crate) fn peers() -> Vec<Peer> {
    vec![
        ("netflix aimd", || Box::new(netflix::aimd())),
        ("netflix vegas", || Box::new(netflix::vegas())),
        ("netflix vegas windowed", || Box::new(Windowed::new(netflix::vegas()))),
        ("netflix gradient", || Box::new(GradientLimit::new())),
        ("netflix gradient2", || Box::new(netflix::gradient2())),
        ("netflix gradient2 windowed", || Box::new(Windowed::new(netflix::gradient2()))),
        ("envoy gradient", || Box::new(Envoy::new())),
        ("vector arc", || Box::new(Vector::new())),
        ("failsafe-go", || Box::new(Failsafe::new())),
        ("tower-resilience aimd", || Box::new(TowerResilience::aimd())),
        ("tower-resilience vegas", || Box::new(TowerResilience::vegas())),
        ("tower-resilience gradient2", || Box::new(TowerResilience::gradient2())),
        ("tower-acc aimd", || Box::new(TowerAcc::aimd())),
        ("tower-acc vegas", || Box::new(TowerAcc::vegas())),
        ("tower-acc gradient2", || Box::new(TowerAcc::gradient2())),
        ("congestion-limiter aimd", || Box::new(CongestionLimiter::aimd())),
        ("congestion-limiter vegas", || Box::new(CongestionLimiter::vegas())),
        ("congestion-limiter vegas windowed", || Box::new(CongestionLimiter::vegas().windowed())),
        ("congestion-limiter gradient", || Box::new(CongestionLimiter::gradient())),
        ("congestion-limiter gradient windowed", || {
            Box::new(CongestionLimiter::gradient().windowed())
        }),
        ("little-loadshedder", || Box::new(LittleLoadshedder::new())),
        ("bbr", || Box::new(Bbr::new())),
    ]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use buttress::adaptive_limit::{Admitted, Ended, Outcome, Range};
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};
    use tokio::time::Instant;

    use super::*;

    const SIXTY_DAYS: u64 = 60 * 86_400 * 1_000_000_000;

    /// A call that has just ended, of any latency from nothing to 60 days.
    fn any(rng: &mut SmallRng, now: Instant, in_flight: usize) -> Ended {
        let outcome = match rng.random_range(0..10) {
            0 => Outcome::TimedOut,
            1 => Outcome::Overloaded,
            2 => Outcome::Unknown,
            _ => Outcome::Answered,
        };
        let nanos = rng.random_range(0..=SIXTY_DAYS) >> rng.random_range(0..=53);
        let mut call = Ended::new(now, Duration::from_nanos(nanos), outcome);
        call.in_flight = in_flight;
        call.pressed = rng.random();
        call
    }

    #[test]
    fn whatever_the_calls_a_limit_is_a_number_in_the_range() {
        for (name, peer) in peers() {
            for seed in 0..4 {
                let mut rng = SmallRng::seed_from_u64(seed);
                let mut peer = peer();
                peer.begin(Range::new(1, 2000));
                let mut now = Instant::now();
                for _ in 0..10_000 {
                    let in_flight = rng.random_range(0..300);
                    now += Duration::from_nanos(1_000_000_000 >> rng.random_range(0..20));
                    let mark = peer.admitted(&Admitted::new(now, in_flight + 1));
                    let mut call = any(&mut rng, now, in_flight);
                    call.mark = mark.expect("they hear of every call");
                    peer.ended(&call);
                    let limit = peer.limit();
                    assert!((1.0..=2000.0).contains(&limit), "{name}, seed {seed}: {limit}");
                }
            }
        }
    }

    #[test]
    fn each_grows_while_all_is_well() {
        const LATENCY: Duration = Duration::from_millis(10);
        for (name, peer) in peers() {
            let mut peer = peer();
            peer.begin(Range::new(1, 2000));
            let mut now = Instant::now();
            let before = peer.limit();
            for _ in 0..20_000 {
                // Always as many in flight as may be, and by Little's law so many a second.
                now += LATENCY.div_f64(peer.limit());
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let in_flight = peer.limit() as usize;
                let mark = peer.admitted(&Admitted::new(now, in_flight));
                let mut call = Ended::new(now, LATENCY, Outcome::Answered);
                (call.in_flight, call.pressed) = (in_flight - 1, true);
                call.mark = mark.expect("they hear of every call");
                peer.ended(&call);
            }
            assert!(peer.limit() > before, "{name}: from {before} to {}", peer.limit());
        }
    }
}
