//! The store against its naive model.

use proptest::prelude::*;

use crate::idempotency::Abandon;
use crate::idempotency::memory::model::{Bounds, Op, run};

fn time() -> impl Strategy<Value = u64> {
    prop_oneof![Just(10), Just(50), 1u64..200]
}

fn op() -> impl Strategy<Value = Op> {
    let how = prop_oneof![Just(Abandon::Release), Just(Abandon::Indeterminate)];
    let length = prop_oneof![Just(0), Just(100), 0usize..400, Just(5_000)];
    // Mostly the latest claims, so that they hold.
    let claim = || prop_oneof![3 => 0usize..4, 1 => any::<usize>()];
    let begin = (0u8..6, 0u8..8, 0u8..3, time(), time(), 1u32..4, any::<bool>());
    prop_oneof![
        3 => time().prop_map(Op::Wait),
        8 => begin.prop_map(|(key, print, owner, lease, retention, max_attempts, takeover)| {
            let fingerprint = u8::from(print == 0);
            Op::Begin { key, fingerprint, owner, lease, retention, max_attempts, takeover }
        }),
        1 => (claim(), time()).prop_map(|(claim, lease)| Op::Renew(claim, lease)),
        1 => claim().prop_map(Op::MarkEffects),
        6 => (claim(), length, time()).prop_map(|(claim, length, lasts)| {
            Op::Complete(claim, length, lasts)
        }),
        1 => (claim(), how).prop_map(|(claim, how)| Op::Abandon(claim, how)),
        1 => (0u8..6).prop_map(Op::Forget),
        1 => (0usize..4).prop_map(Op::Purge),
    ]
}

fn bounds() -> impl Strategy<Value = Bounds> {
    let bytes = prop_oneof![Just(1 << 20), 256usize..2_500];
    (prop_oneof![Just(100), 1usize..6], bytes, any::<bool>())
        .prop_map(|(entries, bytes, evicts)| Bounds { entries, bytes, evicts })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn three_owners_see_what_the_model_says(
        bounds in bounds(),
        ops in prop::collection::vec(op(), 1..80),
    ) {
        run(bounds, ops);
    }
}
