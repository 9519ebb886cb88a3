//! [`UserLevels`]: a level for each user, the same for an hour.

use std::time::Duration;

use crate::config::{self, not_zero};
use crate::priority::Priority;
use crate::rng::Rng;
use crate::time::{self, Instant};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Gives each user a level of 0 to 127: the same for an hour, another in the next.
///
/// Who is refused is refused with everything for as long, and who is served is served in full; and
/// nobody is always the last. After the user priorities of DAGOR (Zhou et al., "Overload Control
/// for Scaling `WeChat` Microservices", 2018).
///
/// ```
/// use buttress::load_shed::{Priority, PriorityClass, UserLevels};
///
/// let levels = UserLevels::new();
/// let priority = Priority::new(PriorityClass::Default).at_level(levels.of("user-4711"));
/// assert_eq!(levels.of("user-4711"), priority.level(), "for an hour");
/// ```
///
/// # Several replicas
///
/// Two values, or two processes, agree on the level of a user while they have the same
/// [`seed`](Self::seed), the same [`rotate_every`](Self::rotate_every), and are in the same hour.
/// The hours count from [`new`](Self::new), since the clock of this crate has no date; replicas
/// that started at different times agree where each was told the time by
/// [`starting_at`](Self::starting_at), up to what their clocks differ in. Where they do not
/// agree, each is fair for itself, but a user who was refused may be served by the next replica,
/// and so gains by trying again.
///
/// The better way for a chain of services is to take the level once, where the request enters, and
/// to send it on with the request.
#[derive(Clone, Debug)]
pub struct UserLevels {
    seed: u64,
    rotate_every: Duration,
    since: Instant,
    /// How much of the time had passed by then.
    before: Duration,
}

impl UserLevels {
    /// Another level each hour from now on, by a seed of the operating system's.
    #[must_use]
    pub fn new() -> Self {
        Self {
            seed: Rng::new(None).bits(),
            rotate_every: HOUR,
            since: time::now(),
            before: Duration::ZERO,
        }
    }

    /// What the levels are drawn by. The same for all that are to agree; keep it from those who
    /// choose their own keys, or they choose their levels.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How long a level lasts. Default: 1 h. Longer than a user's session, or a session falls
    /// apart; shorter than what a user puts up with.
    ///
    /// # Panics
    ///
    /// If it is 0.
    #[must_use]
    #[track_caller]
    pub fn rotate_every(mut self, period: Duration) -> Self {
        config::expect(not_zero("user_levels.rotate_every", period));
        self.rotate_every = period;
        self
    }

    /// What time it was when this value was made, as the time since a date that all replicas count
    /// from, so that they change levels together. For one, by the wall clock:
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use buttress::load_shed::UserLevels;
    ///
    /// let time = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    /// let levels = UserLevels::new().seed(4711).starting_at(time);
    /// # let _ = levels;
    /// ```
    #[must_use]
    pub fn starting_at(mut self, time: Duration) -> Self {
        self.before = time;
        self
    }

    /// The level of the user whom `key` names, for now: of 0, served first, to 127.
    ///
    /// A pure function of the key's bytes, the seed and the hour, the same in every build. Reads
    /// the clock once, allocates nothing.
    #[must_use]
    pub fn of(&self, key: impl AsRef<[u8]>) -> u8 {
        let time = self.before.saturating_add(time::now().saturating_duration_since(self.since));
        level(key.as_ref(), self.seed, time.as_nanos() / self.rotate_every.as_nanos())
    }
}

impl Default for UserLevels {
    fn default() -> Self {
        Self::new()
    }
}

/// The first seven bits of a hash of it all. Not the standard library's, whose outcome may change
/// with every release: replicas are not all updated at once.
fn level(key: &[u8], seed: u64, hour: u128) -> u8 {
    const { assert!(Priority::LEVELS == 1 << 7) };
    let hour = hour.to_le_bytes();
    // FNV-1a takes the key in, and the finalizer of SplitMix64 makes every bit depend on all.
    let bytes = key.iter().chain(&hour);
    let hash = bytes.fold(mix(seed), |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mix(hash).to_be_bytes()[0] >> 1
}

/// The finalizer of `SplitMix64`.
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn users() -> impl Iterator<Item = String> {
        (0..12_800).map(|n| format!("user-{n}"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_stable_level_per_user_for_fairness_over_the_hour() {
        let levels = UserLevels::new();
        let all = || users().map(|user| levels.of(user)).collect::<Vec<_>>();
        let first = all();
        advance(59 * MINUTE).await;
        assert_eq!(all(), first, "stable for the hour");
        // Over a day: nobody is always last. The expected level of everybody is the middle one.
        let mut sums = vec![0_u32; first.len()];
        for _ in 0..24 {
            advance(60 * MINUTE).await;
            sums.iter_mut().zip(all()).for_each(|(sum, level)| *sum += u32::from(level));
        }
        let (least, most) = (sums.iter().min().unwrap(), sums.iter().max().unwrap());
        // The mean of 24 has a deviation of 37 / sqrt(24) = 7.5: five of those to each side.
        assert!(*least > 24 * 25 && *most < 24 * 102, "{least} to {most}");
    }

    #[tokio::test(start_paused = true)]
    async fn every_level_has_its_share_of_users_in_every_hour() {
        let levels = UserLevels::new().seed(1);
        for hour in 0..10 {
            let mut counts = [0_u32; 128];
            users().for_each(|user| counts[usize::from(levels.of(user))] += 1);
            // A hundred each, with a deviation of ten.
            assert!(counts.iter().all(|count| (50..150).contains(count)), "{hour}: {counts:?}");
            advance(HOUR).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn replicas_agree_on_the_level_wherever_they_agree_on_the_time() {
        let date = 500_000 * HOUR;
        let first = UserLevels::new().seed(7).starting_at(date);
        advance(100 * MINUTE).await;
        let second = UserLevels::new().seed(7).starting_at(date + 100 * MINUTE);
        let untold = UserLevels::new().seed(7);
        for _ in 0..20 {
            assert!(users().all(|user| first.of(&user) == second.of(&user)));
            advance(7 * MINUTE).await;
        }
        assert!(users().any(|user| first.of(&user) != untold.of(&user)));
        let other = UserLevels::new().seed(8).starting_at(date + 240 * MINUTE);
        assert!(users().any(|user| first.of(&user) != other.of(&user)));
    }

    #[test]
    fn levels_are_the_same_in_every_build() {
        let of = |key: &str, seed, hour| level(key.as_bytes(), seed, hour);
        let drawn = [of("", 0, 0), of("a", 0, 0), of("b", 0, 0), of("a", 1, 0), of("a", 0, 1)];
        assert_eq!(drawn, [70, 110, 56, 18, 120]);
    }

    #[test]
    fn the_shortest_and_the_longest_period_serve() {
        for period in [Duration::from_nanos(1), Duration::MAX] {
            let levels = UserLevels::new().rotate_every(period).starting_at(Duration::MAX);
            assert!(levels.of("a") < Priority::LEVELS);
        }
    }

    #[test]
    #[should_panic(expected = "user_levels.rotate_every is 0ns, allowed is longer than 0")]
    fn a_period_of_nothing_is_refused() {
        let _ = UserLevels::new().rotate_every(Duration::ZERO);
    }
}
