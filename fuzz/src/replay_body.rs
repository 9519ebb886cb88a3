//! Clones of one request body, read at the same time: the sequences of operations of the model that
//! the crate's own tests hold it against.

#[path = "../../tests/it/replay/fixture.rs"]
#[allow(dead_code)]
mod fixture;
#[path = "../../tests/it/replay/model.rs"]
mod model;

use std::iter::from_fn;

use ::bytes::Bytes as Data;

use crate::bytes::Bytes;
use fixture::{Turn, trailers};
use model::{CLONES, Op, run as hold, tell_apart};

/// More than the model can tell apart.
const MOST_FRAMES: usize = 100;
const LONGEST: usize = 500;

pub(crate) fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let cap = bytes.below(64);
    let says_its_end = bytes.flag();
    let mut turns = Vec::new();
    while turns.len() < MOST_FRAMES && !matches!(turns.last(), Some(Turn::Trailers(_) | Turn::Fail))
    {
        let byte = bytes.byte();
        turns.push(match byte & 7 {
            0 => break,
            1..=4 => Turn::Data(Data::from(vec![0; usize::from(byte >> 3)])),
            5 => Turn::Wait,
            6 => Turn::Trailers(trailers("7")),
            _ => Turn::Fail,
        });
    }
    tell_apart(&mut turns);
    let ops = from_fn(|| bytes.next().map(op));
    hold(&turns, cap, says_its_end, &ops.take(LONGEST).collect::<Vec<_>>());
}

fn op(byte: u8) -> Op {
    let slot = usize::from(byte >> 3) % CLONES;
    match byte & 7 {
        0..=3 => Op::Poll(slot),
        4 => Op::Clone(slot),
        5 => Op::Drop(slot),
        _ => Op::Fire,
    }
}
