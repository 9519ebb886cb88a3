//! The slots against their naive model.

use proptest::prelude::*;

use crate::admission::QueueOrder;
use crate::admission::model::{Op, run, run_capped};

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0usize..3).prop_map(Op::Enter),
        6 => any::<usize>().prop_map(Op::Leave),
        3 => any::<usize>().prop_map(Op::GiveUp),
        4 => any::<usize>().prop_map(Op::Collect),
        1 => (0usize..6).prop_map(Op::Resize),
        2 => prop_oneof![Just(50), Just(100), 0u64..300].prop_map(Op::Wait),
    ]
}

fn order() -> impl Strategy<Value = QueueOrder> {
    prop_oneof![Just(QueueOrder::Fifo), Just(QueueOrder::Lifo), Just(QueueOrder::Adaptive)]
}

fn shares() -> impl Strategy<Value = Vec<f64>> {
    prop_oneof![Just(Vec::new()), Just(vec![0.5, 0.25, 0.25]), Just(vec![0.0, 0.0, 1.0])]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_slots_are_their_naive_model(
        limit in 0usize..6,
        len in 0usize..6,
        order in order(),
        shares in shares(),
        ops in prop::collection::vec(op(), 1..300),
    ) {
        run(limit, (len, order), &shares, ops);
    }

    #[test]
    fn the_slots_with_caps_are_their_naive_model(
        limit in 1usize..9,
        len in 0usize..6,
        order in order(),
        caps in prop_oneof![Just([1.0, 0.5, 0.25]), Just([1.0, 0.9, 0.0]), Just([1.0; 3])],
        ops in prop::collection::vec(op(), 1..300),
    ) {
        run_capped(limit, (len, order), &caps, ops);
    }
}
