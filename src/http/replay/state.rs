//! What the clones of a body share: who has read how far, and what is kept for whom.

use std::collections::VecDeque;
use std::error::Error as StdError;
use std::fmt;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

/// The machine behind the clones. `I` is the inner body, which it hands out and never touches.
///
/// Frames are numbered from 0. Those that somebody still needs are kept: `frames` and, after the
/// last of them, `trailers`. Whatever holds somebody else's code (the inner body, and the frames,
/// whose memory may have an owner with a `Drop`) is given back to be dropped outside the lock.
#[derive(Debug)]
pub(super) struct State<I> {
    /// `None` while a reader polls it, and after its end.
    inner: Option<I>,
    fate: Fate,
    /// The size of the whole body, as the body itself gave it before it was read. A copy says the
    /// same, whatever is known by then: a body that was sent in chunks is sent in chunks again.
    size: SizeHint,
    cap: usize,
    /// Bytes in `frames` and `trailers`; never more than `cap`.
    kept: usize,
    /// The number of the first frame kept, or to come.
    first: usize,
    frames: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
    /// By slot.
    readers: Vec<Option<Reader>>,
    /// Somebody came while the inner body was out.
    missed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    Ended,
    Failed,
}

#[derive(Clone, Copy, Debug, Default)]
struct Reader {
    /// The number of the next frame to read.
    next: usize,
    /// Bytes read.
    read: u64,
    /// Has met an error, and reads no more.
    over: bool,
}

/// What a reader is to do next.
#[derive(Debug)]
pub(super) enum Step<I> {
    Frame(Frame<Bytes>),
    End,
    Failed(NoReplay),
    /// Reads the inner body, and says by [`State::settle`] what came.
    Read(I),
    /// Somebody else is polling it.
    Busy,
}

/// What polling the inner body has brought.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn<'a> {
    Pending,
    Frame {
        frame: &'a Frame<Bytes>,
        /// Nothing follows it.
        last: bool,
    },
    End,
    Failed,
}

/// Why a reader gets no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoReplay {
    Overflowed,
    Failed,
}

impl fmt::Display for NoReplay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overflowed => "the request body cannot be sent again: too long to be kept",
            Self::Failed => "the request body cannot be sent again: it failed while it was read",
        })
    }
}

impl StdError for NoReplay {}

/// What is to be dropped outside the lock, and whom to wake there.
#[derive(Debug)]
#[must_use]
pub(super) struct Released<I> {
    pub(super) wake: bool,
    _frames: VecDeque<Bytes>,
    _trailers: Option<HeaderMap>,
    _inner: Option<I>,
}

impl<I> State<I> {
    /// With one reader, in slot 0.
    pub(super) fn new(inner: I, size: SizeHint, cap: usize) -> Self {
        Self {
            inner: Some(inner),
            fate: Fate::Open,
            size,
            cap,
            kept: 0,
            first: 0,
            frames: VecDeque::new(),
            trailers: None,
            readers: vec![Some(Reader::default())],
            missed: false,
        }
    }

    pub(super) fn set_cap(&mut self, cap: usize) -> Released<I> {
        self.cap = cap;
        if self.kept > cap { self.forget_all() } else { Released::nothing() }
    }

    /// A further reader, which starts from the beginning.
    pub(super) fn join(&mut self) -> usize {
        let reader = Some(Reader::default());
        if let Some(slot) = self.readers.iter().position(Option::is_none) {
            self.readers[slot] = reader;
            return slot;
        }
        self.readers.push(reader);
        self.readers.len() - 1
    }

    /// The reader is dropped, and what only it needed.
    pub(super) fn leave(&mut self, slot: usize) -> Released<I> {
        self.readers[slot] = None;
        let needed = self.readers.iter().flatten().filter(|reader| self.reaches(**reader));
        let Some(from) = needed.map(|reader| reader.next).min() else { return self.forget_all() };
        let rest = self.frames.split_off((from - self.first).min(self.frames.len()));
        let frames = std::mem::replace(&mut self.frames, rest);
        self.kept -= frames.iter().map(Bytes::len).sum::<usize>();
        self.first += frames.len();
        let trailers = if from > self.end() { self.pop_trailers() } else { None };
        Released { _frames: frames, _trailers: trailers, ..Released::nothing() }
    }

    pub(super) fn next(&mut self, slot: usize) -> Step<I> {
        let Some(reader) = self.reader(slot) else { return Step::End };
        if let Some(why) = self.lost(reader) {
            self.give_up(slot);
            return Step::Failed(why);
        }
        if let Some(frame) = self.read(slot, reader.next) {
            return Step::Frame(frame);
        }
        if self.fate == Fate::Ended {
            return Step::End;
        }
        if let Some(inner) = self.inner.take() {
            return Step::Read(inner);
        }
        self.missed = true;
        Step::Busy
    }

    /// What came of polling the inner body that [`next`](Self::next) handed out.
    pub(super) fn settle(&mut self, slot: usize, turn: Turn<'_>, inner: I) -> Released<I> {
        let missed = std::mem::take(&mut self.missed);
        let (released, fate) = match turn {
            Turn::Pending => {
                self.inner = Some(inner);
                // Who came in the meantime may have come after the waker was called.
                return Released { wake: missed, ..Released::nothing() };
            }
            Turn::Frame { frame, last } => {
                (self.publish(slot, frame), if last { Fate::Ended } else { Fate::Open })
            }
            Turn::End => (Released::nothing(), Fate::Ended),
            Turn::Failed => {
                self.give_up(slot);
                (self.forget_all(), Fate::Failed)
            }
        };
        self.fate = fate;
        if fate == Fate::Open {
            self.inner = Some(inner);
            return Released { wake: true, ..released };
        }
        Released { wake: true, _inner: Some(inner), ..released }
    }

    /// Whether this reader, which has read nothing yet, can get everything.
    pub(super) fn is_whole(&self, slot: usize) -> bool {
        #[cfg(mutant = "overflowed-body-resent")]
        return true;
        let reader = self.reader(slot);
        self.keeps() && self.first == 0 && reader.is_some_and(|reader| self.lost(reader).is_none())
    }

    pub(super) fn is_end(&self, slot: usize) -> bool {
        let end = self.end() + usize::from(self.trailers.is_some());
        self.fate == Fate::Ended && self.reader(slot).is_some_and(|reader| reader.next == end)
    }

    pub(super) fn size_hint(&self, slot: usize) -> SizeHint {
        let mut left = SizeHint::new();
        match self.reader(slot) {
            _ if self.is_end(slot) => left.set_exact(0),
            Some(reader) if self.lost(reader).is_none() => {
                left.set_lower(self.size.lower().saturating_sub(reader.read));
                if let Some(upper) = self.size.upper() {
                    left.set_upper(upper.saturating_sub(reader.read));
                }
            }
            // Anything may follow: what passed for an empty body would be sent unread.
            _ => {}
        }
        left
    }

    /// The frame of this number, where it is kept; taken, where it is kept for this reader alone.
    fn read(&mut self, slot: usize, number: usize) -> Option<Frame<Bytes>> {
        let for_others = self.others_need(slot, number);
        if number == self.end() {
            let trailers = if for_others { self.trailers.clone() } else { self.pop_trailers() }?;
            self.advance(slot, 0);
            return Some(Frame::trailers(trailers));
        }
        let data = if for_others {
            self.frames.get(number - self.first)?.clone()
        } else {
            let data = self.frames.pop_front()?;
            self.first += 1;
            self.kept -= data.len();
            data
        };
        self.advance(slot, data.len());
        Some(Frame::data(data))
    }

    /// A frame that a reader got from the inner body is kept, where others need it and can have it.
    fn publish(&mut self, slot: usize, frame: &Frame<Bytes>) -> Released<I> {
        let trailers = frame.trailers_ref();
        let data = frame.data_ref().filter(|data| !data.is_empty());
        // An empty frame says nothing, and any number of them would fit under the cap.
        if data.is_none() && trailers.is_none() {
            return Released::nothing();
        }
        let number = self.end();
        let needed = self.others_need(slot, number);
        self.advance(slot, data.map_or(0, Bytes::len));
        let size = data.map_or(0, Bytes::len) + trailers.map_or(0, size_of_trailers);
        if !needed || !self.keeps() || size > self.cap - self.kept {
            let released = self.forget_all();
            self.first = number + 1;
            return released;
        }
        self.kept += size;
        self.frames.extend(data.cloned());
        self.trailers = trailers.cloned();
        #[cfg(mutant = "replay-loses-trailers")]
        self.trailers.take();
        Released::nothing()
    }

    fn forget_all(&mut self) -> Released<I> {
        self.first = self.end() + usize::from(self.trailers.is_some());
        self.kept = 0;
        Released {
            _frames: std::mem::take(&mut self.frames),
            _trailers: self.trailers.take(),
            ..Released::nothing()
        }
    }

    fn pop_trailers(&mut self) -> Option<HeaderMap> {
        let trailers = self.trailers.take()?;
        self.first += 1;
        self.kept -= size_of_trailers(&trailers);
        Some(trailers)
    }

    /// Whether a body of this size may be kept at all.
    fn keeps(&self) -> bool {
        self.size.lower() <= self.cap as u64
    }

    /// The number of the frame after those of data that are kept: of the trailers, if any.
    fn end(&self) -> usize {
        self.first + self.frames.len()
    }

    fn others_need(&self, slot: usize, number: usize) -> bool {
        let mut others = self.readers.iter().enumerate().filter(|(other, _)| *other != slot);
        others.any(|(_, reader)| {
            reader.is_some_and(|reader| self.reaches(reader) && reader.next <= number)
        })
    }

    fn reaches(&self, reader: Reader) -> bool {
        !reader.over && reader.next >= self.first
    }

    fn lost(&self, reader: Reader) -> Option<NoReplay> {
        match self.fate {
            Fate::Failed => Some(NoReplay::Failed),
            _ => (reader.next < self.first).then_some(NoReplay::Overflowed),
        }
    }

    fn reader(&self, slot: usize) -> Option<Reader> {
        self.readers[slot].filter(|reader| !reader.over)
    }

    fn advance(&mut self, slot: usize, bytes: usize) {
        if let Some(reader) = &mut self.readers[slot] {
            reader.next += 1;
            reader.read += bytes as u64;
        }
    }

    fn give_up(&mut self, slot: usize) {
        if let Some(reader) = &mut self.readers[slot] {
            reader.over = true;
        }
    }
}

impl<I> Released<I> {
    fn nothing() -> Self {
        Self { wake: false, _frames: VecDeque::new(), _trailers: None, _inner: None }
    }
}

fn size_of_trailers(trailers: &HeaderMap) -> usize {
    trailers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}
