//! What one reader of a body gets, and what the others get of it: the machine by itself.

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use crate::http::replay::state::{NoReplay, State, Step, Turn};

/// A body of so many frames of two bytes, read to its end in slot 0. There is a copy in slot 1.
fn read(frames: usize, cap: usize, trailers: &HeaderMap) -> State<()> {
    let mut state = State::new((), SizeHint::new(), cap);
    assert_eq!(state.join(), 1);
    let data = (0..frames).map(|_| Frame::data(Bytes::from_static(b"ab")));
    for frame in data.chain([Frame::trailers(trailers.clone())]) {
        assert!(matches!(state.next(0), Step::Read(())));
        let turn = Turn::Frame { frame: &frame, last: frame.is_trailers() };
        drop(state.settle(0, turn, ()));
    }
    assert!(matches!(state.next(0), Step::End));
    state
}

#[test]
fn a_copy_gets_every_frame_and_the_trailers_last() {
    let trailers = HeaderMap::from_iter([(http::header::ETAG, "x".parse().unwrap())]);
    let mut state = read(3, 64, &trailers);
    assert!(state.is_whole(1) && !state.is_end(1));
    for _ in 0..3 {
        let Step::Frame(frame) = state.next(1) else { panic!("three frames of data") };
        assert_eq!(frame.into_data().unwrap(), "ab");
    }
    let Step::Frame(frame) = state.next(1) else { panic!("trailers follow") };
    assert_eq!(frame.into_trailers().unwrap(), trailers);
    assert!(matches!(state.next(1), Step::End) && state.is_end(1));
}

#[test]
fn a_body_that_was_too_long_to_be_kept_is_whole_for_nobody() {
    assert!(read(3, 6, &HeaderMap::new()).is_whole(1), "it just fits");
    let mut state = read(3, 5, &HeaderMap::new());
    assert!(!state.is_whole(1));
    assert!(matches!(state.next(1), Step::Failed(NoReplay::Overflowed)));
    let late = state.join();
    assert!(!state.is_whole(late));
}
