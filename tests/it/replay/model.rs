//! Bodies, caps, drops and interleavings of up to three clones, against a naive model. `fuzz/` drives
//! it too.

use buttress::http::{Replay, ReplayBody};
use bytes::Bytes;
use http_body::Body;

use super::fixture::{Got, Line, Script, Turn, poll};
use crate::support::Hand;

pub(crate) const CLONES: usize = 3;

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Poll(usize),
    Clone(usize),
    Drop(usize),
    Fire,
}

/// The whole body in a list, and what each reader has of it.
struct Model {
    cap: usize,
    /// What has come of the inner body, empty frames left out.
    come: Vec<Got>,
    /// How many of `come` are lost to who has not read them.
    lost: usize,
    failed: bool,
    readers: Vec<Option<(usize, bool)>>,
}

impl Model {
    fn size(frame: &Got) -> usize {
        match frame {
            Got::Data(data) => data.len(),
            Got::Trailers(trailers) => {
                trailers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
            }
            _ => 0,
        }
    }

    /// The least position of a reader other than `slot` who can still get everything.
    fn needed_from(&self, slot: usize) -> Option<usize> {
        let others = self.readers.iter().enumerate().filter(|(other, _)| *other != slot);
        let positions = others.filter_map(|(_, reader)| *reader).filter(|(_, over)| !over);
        positions.map(|(next, _)| next).filter(|next| *next >= self.lost).min()
    }

    fn trim(&mut self) {
        self.lost = self.needed_from(usize::MAX).unwrap_or(self.come.len());
    }

    fn came(&mut self, slot: usize, frame: &Got) {
        let from = self.needed_from(slot);
        self.come.push(frame.clone());
        let (next, _) = self.readers[slot].as_mut().unwrap();
        *next += 1;
        let kept = from.map_or(0, |from| self.come[from..].iter().map(Self::size).sum());
        if kept > self.cap {
            self.lost = self.come.len();
        }
        self.trim();
    }

    /// What a reader has to get, unless it has to come from the inner body.
    fn expected(&self, slot: usize) -> Option<Got> {
        let (next, over) = self.readers[slot].unwrap();
        if over {
            return Some(Got::End);
        }
        if self.failed || next < self.lost {
            return Some(Got::Refused);
        }
        self.come.get(next).cloned()
    }
}

struct Run {
    line: Line,
    model: Model,
    bodies: Vec<Option<(ReplayBody<Script>, Hand)>>,
}

impl Run {
    fn new(turns: &[Turn], cap: usize, says_its_end: bool) -> Self {
        let line = Line::new(turns.to_vec());
        let body = if says_its_end { line.body().says_its_end() } else { line.body() };
        let body = ReplayBody::new(body).at_most(cap);
        let readers = vec![Some((0, false)), None, None];
        let model = Model { cap, come: Vec::new(), lost: 0, failed: false, readers };
        Self { line, model, bodies: vec![Some((body, Hand::new())), None, None] }
    }

    fn step(&mut self, op: &Op) {
        match *op {
            Op::Poll(slot) if self.bodies[slot].is_some() => {
                self.poll(slot);
            }
            Op::Clone(from) => {
                let free = self.bodies.iter().position(Option::is_none);
                if let (Some((body, _)), Some(free)) = (&self.bodies[from], free) {
                    self.bodies[free] = Some((body.clone(), Hand::new()));
                    self.model.readers[free] = Some((0, false));
                }
            }
            Op::Drop(slot) if self.bodies[slot].is_some() => {
                self.bodies[slot] = None;
                self.model.readers[slot] = None;
                self.model.trim();
            }
            Op::Fire => {
                self.line.fire();
            }
            _ => {}
        }
        self.compare();
    }

    fn poll(&mut self, slot: usize) -> Got {
        let (body, hand) = self.bodies[slot].as_mut().unwrap();
        hand.woken();
        let expected = self.model.expected(slot);
        let left = self.line.left();
        let found = poll(hand, body);
        if let Some(expected) = expected {
            assert_eq!(found, expected);
            assert_eq!(self.line.left(), left, "the inner body was not needed");
        }
        match &found {
            Got::Data(data) if data.is_empty() => {}
            Got::Data(_) | Got::Trailers(_) if self.line.left() < left => {
                self.model.came(slot, &found);
            }
            Got::Data(_) | Got::Trailers(_) => {
                self.model.readers[slot].as_mut().unwrap().0 += 1;
                self.model.trim();
            }
            Got::Broke => {
                self.model.failed = true;
                self.model.readers[slot].as_mut().unwrap().1 = true;
            }
            Got::Refused => self.model.readers[slot].as_mut().unwrap().1 = true,
            Got::End | Got::Pending => {}
        }
        found
    }

    fn compare(&self) {
        for (body, reader) in self.bodies.iter().zip(&self.model.readers) {
            let (Some((body, _)), Some((next, over))) = (body, reader) else { continue };
            let whole = !over && !self.model.failed && self.model.lost == 0;
            assert_eq!(body.can_replay(), whole);
            assert_eq!(body.replay().is_some(), whole);
            if body.is_end_stream() {
                assert!(self.line.left() == 0 && *next == self.model.come.len());
                assert_eq!(body.size_hint().exact(), Some(0));
            }
        }
    }

    /// Polls only those who are woken, until nobody has anything left to read: nobody may sleep.
    fn finish(mut self) {
        let live: Vec<usize> = (0..CLONES).filter(|slot| self.bodies[*slot].is_some()).collect();
        let mut asleep = [false; CLONES];
        let mut ended = [false; CLONES];
        while live.iter().any(|slot| !ended[*slot]) {
            let mut moved = false;
            for &slot in &live {
                let woken = self.bodies[slot].as_ref().unwrap().1.woken() > 0;
                if ended[slot] || (asleep[slot] && !woken) {
                    continue;
                }
                moved = true;
                let got = self.poll(slot);
                self.compare();
                asleep[slot] = got == Got::Pending;
                ended[slot] = matches!(got, Got::End | Got::Broke | Got::Refused);
            }
            assert!(moved || self.line.fire(), "asleep, and nothing is left to wake them");
        }
    }
}

/// Panics where the body does otherwise than the model.
pub(crate) fn run(turns: &[Turn], cap: usize, says_its_end: bool, ops: &[Op]) {
    let mut run = Run::new(turns, cap, says_its_end);
    run.compare();
    for op in ops {
        run.step(op);
    }
    run.finish();
}

/// Frames that differ, so that one in place of another is seen.
pub(crate) fn tell_apart(turns: &mut [Turn]) {
    for (number, turn) in (b'a'..).zip(turns) {
        if let Turn::Data(data) = turn {
            *data = Bytes::from(vec![number; data.len()]);
        }
    }
}
