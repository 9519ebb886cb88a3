//! The meter, the bucket and the shard against a naive bucket of tokens.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use proptest::prelude::*;

use crate::rate_limit::bucket::{Bucket, Charged};
use crate::rate_limit::shard::Shard;
use crate::rate_limit::state::{Meter, Short};

/// Tokens, each worth the interval in nanoseconds: they come with time and go with calls. Turns that
/// are taken ahead leave fewer than none.
#[derive(Clone, Debug)]
struct Tokens {
    interval: i128,
    burst: i128,
    worth: i128,
    at: i128,
}

impl Tokens {
    fn full(interval: u64, burst: u32) -> Self {
        let (interval, burst) = (i128::from(interval), i128::from(burst));
        Self { interval, burst, worth: interval * burst, at: 0 }
    }

    /// How long until it could be paid, when it is paid then if that is not too late.
    fn call(&mut self, now: u64, cost: u32, patience: u64) -> Result<u64, Option<u64>> {
        let now = i128::from(now);
        self.worth = (self.worth + now - self.at).min(self.interval * self.burst);
        self.at = now;
        let (cost, patience) = (i128::from(cost), i128::from(patience));
        if cost > self.burst {
            return Err(None);
        }
        let wait = if cost == 0 { 0 } else { (cost * self.interval - self.worth).max(0) };
        if wait > patience {
            return Err(Some(u64::try_from(wait).unwrap()));
        }
        self.worth -= cost * self.interval;
        Ok(u64::try_from(wait).unwrap())
    }

    fn available(&self) -> u32 {
        u32::try_from(self.worth.max(0) / self.interval).unwrap()
    }
}

#[derive(Clone, Copy, Debug)]
struct Op {
    key: u8,
    pass: u64,
    cost: u32,
    patience: u64,
    /// Whether a call that was let through gives back what it paid.
    leaves: bool,
}

fn op() -> impl Strategy<Value = Op> {
    let pass = prop_oneof![Just(0), 0..40u64, 0..5000u64];
    let patience = prop_oneof![Just(0), 0..300u64];
    (0..6u8, pass, 0..6u32, patience, any::<bool>())
        .prop_map(|(key, pass, cost, patience, leaves)| Op { key, pass, cost, patience, leaves })
}

fn charge(
    meter: &Meter,
    op: Op,
    on_bucket: impl FnOnce(&mut dyn FnMut(u64) -> Result<u64, Short>) -> Result<Charged, Short>,
) -> (Result<u64, Option<u64>>, Option<Charged>) {
    let mut due = 0;
    let charged = on_bucket(&mut |debt| {
        let (owes, wait) = meter.charge_ahead(debt, op.cost, op.patience)?;
        due = wait;
        Ok(owes)
    });
    match charged {
        Ok(charged) => (Ok(due), Some(charged)),
        Err(short) => (Err(short.wait), None),
    }
}

proptest! {
    #[test]
    fn a_bucket_is_a_bucket_of_tokens(
        interval in 1..200u64,
        burst in 1..6u32,
        ops in prop::collection::vec(op(), 1..100),
    ) {
        let meter = Meter::new(Duration::from_nanos(interval), burst);
        let (bucket, mut model) = (Bucket::default(), Tokens::full(interval, burst));
        let mut now = 0;
        for op in ops {
            now += op.pass;
            let before = model.clone();
            let (got, charged) = charge(&meter, op, |act| bucket.charge(now, act));
            prop_assert_eq!(got, model.call(now, op.cost, op.patience));
            if let (true, Some(charged)) = (op.leaves, charged) {
                prop_assert!(bucket.undo(charged));
                model = before;
                // Only to bring the model to the present.
                let _ = model.call(now, 0, 0);
            }
            let standing = meter.standing(bucket.debt(now));
            prop_assert_eq!(standing.available(), model.available());
            if let Some(more) = standing.more_in() {
                let more = u64::try_from(more.as_nanos()).unwrap();
                let available = |at| meter.standing(bucket.debt(at)).available();
                prop_assert_eq!(available(now + more - 1), standing.available());
                prop_assert_eq!(available(now + more), standing.available() + 1);
            } else {
                prop_assert_eq!(standing.available(), burst);
            }
        }
    }

    #[test]
    fn a_key_that_is_forgotten_and_one_that_is_not_are_treated_alike(
        capacity in 1..8usize,
        ops in prop::collection::vec(op(), 1..200),
    ) {
        let (interval, burst) = (50, 4);
        let meter = Meter::new(Duration::from_nanos(interval), burst);
        let random = RandomState::new();
        let mut shard = Shard::new(capacity, random.clone());
        let mut models = HashMap::new();
        let mut now = 0;
        for op in ops {
            now += op.pass;
            let mut full = None;
            let (got, charged) = charge(&meter, op, |act| {
                let hash = random.hash_one(op.key);
                if let Some(charged) = shard.charge(&op.key, hash, now, &mut *act) {
                    return charged;
                }
                shard.insert(op.key, now, act).unwrap_or_else(|found| {
                    full = Some(found);
                    Err(Short { wait: None })
                })
            });
            prop_assert!(shard.len() <= capacity);
            if let Some(full) = full {
                prop_assert_eq!(shard.len(), capacity);
                prop_assert!(full.wait > 0);
                continue;
            }
            let model = models.entry(op.key).or_insert_with(|| Tokens::full(interval, burst));
            let before = model.clone();
            prop_assert_eq!(got, model.call(now, op.cost, op.patience));
            if let (true, Some(charged)) = (op.leaves, charged) {
                shard.undo(&op.key, charged);
                *model = before;
            }
        }
    }
}

#[test]
fn a_full_shard_says_when_to_ask_again_and_has_room_then() {
    let meter = Meter::new(Duration::from_millis(1), 2);
    let mut shard = Shard::new(3, RandomState::new());
    let mut insert = |key, now| shard.insert(key, now, |debt| meter.charge(debt, 1));
    for key in 0..3 {
        assert!(insert(key, 10).unwrap().is_ok());
    }
    let full = insert(3, 11).unwrap_err();
    assert_eq!(full.wait, 999_999, "when the first of them is full");
    assert!(insert(3, 11 + full.wait - 1).is_err());
    assert!(insert(3, 11 + full.wait).unwrap().is_ok());
}

#[test]
fn a_full_shard_looks_at_its_keys_once_in_a_while_only() {
    let meter = Meter::new(Duration::from_nanos(10), 1);
    let mut shard = Shard::new(3, RandomState::new());
    for now in [0, 10] {
        for key in 0..3 {
            assert!(shard.insert(key, now, |debt| meter.charge(debt, 1)).unwrap().is_ok());
        }
    }
    let mut insert = |key, now| shard.insert(key, now, |debt| meter.charge(debt, 1));
    assert_eq!(insert(3, 11).unwrap_err().wait, 3_000, "it has looked at three");
    assert_eq!(insert(3, 21).unwrap_err().wait, 2_990, "it would have found all of them");
    assert!(insert(3, 3_011).unwrap().is_ok());
}

#[test]
fn a_turn_that_somebody_stands_behind_is_not_given_back() {
    let meter = Meter::new(Duration::from_nanos(10), 1);
    let bucket = Bucket::default();
    let ahead = |debt| meter.charge_ahead(debt, 1, 1_000).map(|(owes, _)| owes);
    let [_, second, third] = [(); 3].map(|()| bucket.charge(0, ahead).unwrap());
    assert!(!bucket.undo(second));
    assert_eq!(bucket.debt(0), 30);
    assert!(bucket.undo(third));
    assert!(bucket.undo(second), "nobody stands behind it now");
    assert_eq!(bucket.debt(0), 10);

    let mut shard = Shard::new(1, RandomState::new());
    let [_, second, third] = [(); 3].map(|()| shard.insert((), 0, ahead).unwrap().unwrap());
    for (leaves, left) in [(second, 30), (third, 20), (second, 10)] {
        assert_eq!(shard.undo(&(), leaves), Some(()));
        assert_eq!(shard.debt(&(), 0), Ok(left));
    }
}

#[test]
fn no_sum_of_the_longest_times_overflows() {
    let meter = Meter::new(Duration::from_nanos(1 << 62), 1);
    let bucket = Bucket::default();
    let charge = |now| {
        bucket.charge(now, |debt| meter.charge_ahead(debt, 1, u64::MAX).map(|(owes, _)| owes))
    };
    assert_eq!(charge(0).unwrap().after, 1 << 62);
    assert_eq!(charge(0).unwrap().after, 1 << 63);
    assert_eq!(charge(0).unwrap_err().wait, Some(1 << 63));
    let meter = Meter::new(Duration::from_nanos(1 << 30), u32::MAX);
    assert_eq!(meter.charge(0, u32::MAX), Ok(u64::from(u32::MAX) << 30));
    assert_eq!(meter.standing(0).available(), u32::MAX);
}

#[test]
fn a_key_that_is_not_found_leaves_no_hash_to_the_next() {
    let meter = Meter::new(Duration::from_millis(1), 2);
    let random = RandomState::new();
    let mut shard = Shard::new(3, random.clone());
    let act = |debt| meter.charge(debt, 1);
    assert!(shard.charge(&1, random.hash_one(1), 0, act).is_none());
    assert!(shard.insert(2, 0, act).unwrap().is_ok());
    assert!(shard.charge(&2, random.hash_one(2), 0, act).is_some());
}
