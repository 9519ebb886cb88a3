//! Sequences of operations, for a core and its naive model side by side.

use std::iter::from_fn;
use std::time::Duration;

use buttress::Class;
use buttress::bulkhead::QueueOrder;
use buttress::circuit_breaker::{Config, SlowCalls, Window};
use buttress::idempotency::Abandon;
use buttress::models;

use crate::bytes::Bytes;

/// The models look at all of the past after every step.
const LONGEST: usize = 500;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn circuit_breaker(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let config = breaker(&mut bytes);
    let seed = bytes.number(256);
    let ops = from_fn(|| bytes.next().map(|byte| breaker_op(byte, &mut bytes)));
    models::circuit_breaker::run(config, ops.take(LONGEST), seed);
}

fn breaker(bytes: &mut Bytes<'_>) -> Config {
    // Shares that a float holds to less than what a count of calls can tell apart.
    fn share(bytes: &mut Bytes<'_>) -> f64 {
        f64::from(1 + bytes.byte() % 20) / 20.0
    }
    fn few(bytes: &mut Bytes<'_>, most: u8) -> u32 {
        u32::from(1 + bytes.byte() % most)
    }
    let set = bytes.byte();
    let mut config = Config::default();
    config.window = if set & 1 == 0 {
        Window::count(few(bytes, 12))
    } else {
        Window::time(ms(10 + bytes.number(3_000)))
    };
    config.failure_rate = (set & 2 != 0).then(|| share(bytes));
    config.consecutive_failures = (set & 4 != 0).then(|| few(bytes, 5));
    config.slow_calls =
        (set & 8 != 0).then(|| SlowCalls::new(ms(1 + bytes.number(400)), share(bytes)));
    config.minimum_calls = few(bytes, 12);
    config.open_for = ms(500);
    config.open_for_at_most = Some(ms(4_000));
    config.probes = few(bytes, 4);
    config.close_after = few(bytes, 4);
    config.ramp = (set & 32 != 0).then(|| ms(1 + bytes.number(5_000)));
    config.half_open_for = (set & 16 != 0).then(|| ms(1 + bytes.number(5_000)));
    config
}

fn breaker_op(byte: u8, bytes: &mut Bytes<'_>) -> models::circuit_breaker::Op {
    use models::circuit_breaker::Op;
    let nth = byte >> 3;
    match byte & 7 {
        0 => Op::Wait(bytes.number(60_000)),
        1 => Op::Wait(nth.into()),
        2 | 3 => Op::Admit,
        4 | 5 => Op::Settle(nth.into(), class(bytes), bytes.number(600)),
        6 if nth < 8 => Op::Abandon(nth.into()),
        6 if nth < 16 => Op::Begin((nth - 8).into()),
        6 if nth < 24 => Op::GiveBack((nth - 16).into()),
        6 => Op::Reserve,
        _ => match nth {
            0 => Op::ForceOpen,
            1 => Op::Disable,
            2 => Op::Auto,
            3 => Op::Reset,
            _ => Op::Read,
        },
    }
}

fn class(bytes: &mut Bytes<'_>) -> Class {
    match bytes.byte() % 6 {
        0 => Class::Success,
        1 => Class::Transient,
        2 => Class::Permanent,
        3 => Class::Overload { retry_after: None },
        4 => Class::Overload { retry_after: Some(ms(bytes.number(30_000))) },
        _ => Class::Ignore,
    }
}

pub(crate) fn budget(data: &[u8]) {
    /// More in one place than this, times a ratio of two, is more than a place can hold.
    const MOST_CALLS: u64 = 100_000;
    let mut bytes = Bytes::new(data);
    let watched = bytes.flag();
    let ratio = match bytes.below(4) {
        0 => 3_000,
        1 => 10_000,
        2 => 1,
        _ => 1 + u32::try_from(bytes.number(20_000)).expect("a small number"),
    };
    let floor = i64::try_from(bytes.number(100_000)).expect("a small number");
    let mut calls_left = MOST_CALLS;
    let ops = from_fn(|| bytes.next().map(|byte| budget_op(byte, &mut bytes, &mut calls_left)));
    let ops = ops.take(LONGEST);
    if watched {
        models::budget::run_watched(ratio, floor, ops);
    } else {
        models::budget::run_unwatched(ratio, floor, ops);
    }
}

fn budget_op(byte: u8, bytes: &mut Bytes<'_>, calls_left: &mut u64) -> models::budget::Op {
    use models::budget::Op;
    const SECOND: u64 = 1_000_000_000;
    let nth = byte >> 3;
    let mut calls = |calls: u64| {
        let calls = calls.min(*calls_left);
        *calls_left -= calls;
        Op::Calls(calls, usize::from(nth % 4))
    };
    match byte & 7 {
        0 => Op::Wait(bytes.number(40_000 * SECOND)),
        // Around the length of the window, and of its parts.
        1 => Op::Wait(SECOND * u64::from(nth % 3) + bytes.number(3)),
        2 => Op::Wait(SECOND / 250 * u64::from(nth) + bytes.number(3)),
        3 => calls(1 + u64::from(nth)),
        4 => calls(bytes.number(2_000)),
        5 | 6 => Op::Withdraw,
        _ => Op::Refund(nth.into()),
    }
}

pub(crate) fn slots(data: &[u8]) {
    const SHARES: [&[f64]; 3] = [&[], &[0.5, 0.25, 0.25], &[0.0, 0.0, 1.0]];
    let mut bytes = Bytes::new(data);
    let (limit, len) = (bytes.below(6), bytes.below(6));
    let order = bytes.pick(&[QueueOrder::Fifo, QueueOrder::Lifo, QueueOrder::Adaptive]);
    let shares = bytes.pick(&SHARES);
    let ops = from_fn(|| bytes.next().map(|byte| slots_op(byte, &mut bytes)));
    models::slots::run(limit, (len, order), shares, ops.take(LONGEST));
}

fn slots_op(byte: u8, bytes: &mut Bytes<'_>) -> models::slots::Op {
    use models::slots::Op;
    let nth = usize::from(byte >> 3);
    match byte & 7 {
        0 | 1 => Op::Enter(nth % 3),
        2 => Op::Collect(nth),
        3 | 4 => Op::Leave(nth),
        5 => Op::GiveUp(nth),
        6 => Op::Resize(nth % 6),
        _ => Op::Wait(bytes.number(300)),
    }
}

pub(crate) fn window(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let window = match bytes.below(3) {
        0 => Window::time(Duration::from_secs(1)),
        1 => Window::time(ms(1 + bytes.number(100_000))),
        _ => Window::count(u32::from(bytes.byte()) + 1),
    };
    let ops = from_fn(|| bytes.next().map(|byte| window_op(byte, &mut bytes)));
    models::window::run(window, ops.take(LONGEST));
}

fn window_op(byte: u8, bytes: &mut Bytes<'_>) -> models::window::Op {
    use models::window::Op;
    let nth = u64::from(byte >> 3);
    match byte & 7 {
        0 => Op::Wait(Duration::from_micros(bytes.number(1 << 50))),
        1 => Op::Wait(ms(100 * nth)),
        2 => Op::Back(Duration::from_micros(bytes.number(1 << 50))),
        3..=5 => Op::Record { failed: nth & 1 == 1, slow: nth & 2 == 2 },
        6 => Op::Read,
        _ if nth == 0 => Op::Clear,
        _ => Op::Wait(Duration::from_nanos(nth)),
    }
}

pub(crate) fn hedge(data: &[u8]) {
    use models::hedge::Call;
    const MOST_CALLS: usize = 3_000;
    let mut bytes = Bytes::new(data);
    let percentile = f64::from(1 + bytes.byte() % 199) / 200.0;
    let half = ms(50 + bytes.number(60_000));
    // A percentile takes a hundred calls: one byte stands for many.
    let calls = from_fn(|| {
        let byte = bytes.next()?;
        let latency = Duration::from_nanos(bytes.number(1 << 43));
        // An idle time is walked through half by half.
        let waited = (byte & 1 == 1).then(|| ms(bytes.number(1_000_000)));
        Some(std::iter::repeat_n(Call { waited, latency }, usize::from(1 + (byte >> 1))))
    });
    models::hedge::run(percentile, half, calls.flatten().take(MOST_CALLS));
}

pub(crate) fn codel(data: &[u8]) {
    use models::codel::Op;
    let mut bytes = Bytes::new(data);
    let target = ms(1 + bytes.number(1_000));
    let interval = target + ms(1 + bytes.number(10_000));
    let ops = from_fn(|| {
        let byte = bytes.next()?;
        let nth = u64::from(byte >> 3);
        Some(match byte & 7 {
            0 => Op::Wait(Duration::from_nanos(bytes.number(1 << 50))),
            1 => Op::Wait(ms(nth * nth)),
            2 | 3 => Op::Join,
            4 => Op::Serve { newest: nth & 1 == 1 },
            5 => Op::Refuse,
            6 => Op::GiveUp,
            _ if nth & 1 == 0 => Op::Wait(target),
            _ => Op::Wait(interval),
        })
    });
    models::codel::run(target, interval, ops.take(LONGEST));
}

pub(crate) fn threshold(data: &[u8]) {
    use models::threshold::Op;
    const MOST_CALLS: usize = 700;
    let mut bytes = Bytes::new(data);
    let window = ms(2 + bytes.number(600_000));
    let excess = |byte: u8| match byte {
        254 => f64::NAN,
        255 => f64::INFINITY,
        share => f64::from(share) / 200.0 - 0.1,
    };
    // It takes a hundred calls to end a window: one byte stands for many.
    let ops = from_fn(|| {
        let byte = bytes.next()?;
        let nth = byte >> 3;
        let op = match byte & 7 {
            0 => Op::Wait(ms(bytes.number(1_000_000))),
            1 => Op::Wait(window / 2),
            2 => Op::Exempt { excess: excess(bytes.byte()) },
            class => Op::Call {
                class: usize::from(class - 3),
                level: bytes.byte(),
                excess: excess(bytes.byte()),
            },
        };
        Some(std::iter::repeat_n(op, 1 + usize::from(nth)))
    });
    models::threshold::run(window, ops.flatten().take(MOST_CALLS));
}

/// An even first byte: a record of the format that the second says. Odd: an answer, made of the
/// rest.
pub(crate) fn stored_record(data: &[u8]) {
    use models::stored_record::{Field, decode, encode};
    /// Every beginning of the answer is looked at.
    const MOST_FIELDS: usize = 12;
    let mut bytes = Bytes::new(data);
    if !bytes.flag() {
        let format = bytes.byte();
        return decode(format, bytes.rest());
    }
    let text = |bytes: &mut Bytes<'_>, most| {
        let length = bytes.below(most);
        (0..length).map(|_| bytes.byte()).collect::<Vec<_>>()
    };
    let fields = |bytes: &mut Bytes<'_>| {
        let count = bytes.below(MOST_FIELDS);
        (0..count).map(|_| (bytes.byte(), text(bytes, 32))).collect::<Vec<Field>>()
    };
    let status = u16::from_be_bytes([bytes.byte(), bytes.byte()]);
    let (headers, trailers) = (fields(&mut bytes), fields(&mut bytes));
    let body = text(&mut bytes, 256);
    encode(status, &headers, body, &trailers);
}

pub(crate) fn records(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let set = bytes.byte();
    let bounds = models::records::Bounds {
        entries: if set & 1 == 0 { 1 + bytes.below(8) } else { 100 },
        bytes: if set & 2 == 0 { 256 + 16 * bytes.below(256) } else { 1 << 20 },
        evicts: set & 4 != 0,
    };
    let ops = from_fn(|| bytes.next().map(|byte| records_op(byte, &mut bytes)));
    models::records::run(bounds, ops.take(LONGEST));
}

fn records_op(byte: u8, bytes: &mut Bytes<'_>) -> models::records::Op {
    use models::records::{KEYS, Op};
    let nth = byte >> 3;
    match byte & 7 {
        0 => Op::Wait(bytes.number(2_000)),
        1..=3 => {
            let how = bytes.byte();
            Op::Begin {
                key: nth % KEYS,
                fingerprint: u8::from(how & 0x0F == 0x0F),
                owner: how >> 4 & 3,
                takeover: how & 0x40 == 0,
                max_attempts: 1 + u32::from(how & 3),
                lease: 1 + bytes.number(500),
                retention: 1 + bytes.number(1_000),
            }
        }
        4 => Op::Renew(nth.into(), 1 + bytes.number(1_000)),
        5 => Op::Complete(nth.into(), bytes.below(256) * 8, 1 + bytes.number(1_000)),
        6 if nth.is_multiple_of(2) => Op::Abandon((nth / 2).into(), Abandon::Release),
        6 => Op::Abandon((nth / 2).into(), Abandon::Indeterminate),
        _ => match nth {
            0..8 => Op::Forget(nth),
            8..16 => Op::Purge((nth - 8).into()),
            _ => Op::MarkEffects((nth - 16).into()),
        },
    }
}
