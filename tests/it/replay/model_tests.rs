//! Random bodies, caps, drops and interleavings of clones, against the model.

use bytes::Bytes;
use proptest::prelude::*;

use super::fixture::{Turn, trailers};
use super::model::{CLONES, Op, run, tell_apart};

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let frame = prop_oneof![
        3 => (0..6_usize).prop_map(|length| Turn::Data(Bytes::from(vec![b'x'; length]))),
        2 => Just(Turn::Wait),
    ];
    let end = prop_oneof![
        3 => Just(None),
        1 => Just(Some(Turn::Fail)),
        1 => Just(Some(Turn::Trailers(trailers("7")))),
    ];
    (prop::collection::vec(frame, 0..12), end).prop_map(|(mut turns, end)| {
        turns.extend(end);
        tell_apart(&mut turns);
        turns
    })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..CLONES).prop_map(Op::Poll),
        2 => (0..CLONES).prop_map(Op::Clone),
        1 => (0..CLONES).prop_map(Op::Drop),
        3 => Just(Op::Fire),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn it_does_as_the_model(
        turns in turns(),
        cap in 0..30_usize,
        says_its_end in any::<bool>(),
        ops in prop::collection::vec(op(), 0..40),
    ) {
        run(&turns, cap, says_its_end, &ops);
    }
}
