//! What is kept, and when it is freed.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use allocation_counter::measure;
use buttress::http::{Replay, ReplayBody};
use bytes::Bytes;
use http_body::{Body, SizeHint};
use http_body_util::{BodyExt, Empty, Full, StreamBody};

use super::fixture::{Got, Line, Turn, data, got, poll, read, trailers};
use crate::support::Hand;

/// A frame of `length` bytes, and a count of those who hold it.
fn counted(length: usize) -> (Turn, Arc<()>) {
    struct Owner(Vec<u8>, #[allow(dead_code)] Arc<()>);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    let count = Arc::new(());
    (Turn::Data(Bytes::from_owner(Owner(vec![b'x'; length], count.clone()))), count)
}

fn is_held(count: &Arc<()>) -> bool {
    Arc::strong_count(count) > 1
}

#[test]
fn a_clone_replays_frames_and_trailers_and_reads_on_where_the_other_stopped() {
    let sum = trailers("7");
    let line = Line::new([data("ab"), data("c"), data("de"), Turn::Trailers(sum.clone())]);
    let (mut first, hand) = (ReplayBody::new(line.body()), Hand::new());
    let mut copy = first.replay().unwrap();
    assert_eq!([poll(&hand, &mut first), poll(&hand, &mut first)], [got("ab"), got("c")]);
    drop(first);
    assert!(copy.can_replay());
    let all = [got("ab"), got("c"), got("de"), Got::Trailers(sum), Got::End];
    let second = copy.replay().unwrap();
    assert_eq!(read(&mut copy), all);
    assert_eq!(read(&mut { second }), all);
}

#[test]
fn nothing_is_read_before_the_first_reader_reads() {
    let line = Line::new([data("ab")]);
    let body = ReplayBody::new(line.body());
    let _copy = body.replay();
    assert_eq!(line.left(), 1);
}

#[test]
fn the_last_attempt_keeps_nothing() {
    let (frame, count) = counted(10);
    let mut body = ReplayBody::new(Line::new([frame, Turn::Wait]).body());
    let hand = Hand::new();
    drop(poll(&hand, &mut body));
    assert!(!is_held(&count));
    assert!(!body.clone().can_replay(), "the first frame is gone");
    assert_eq!(read(&mut body.clone()), [Got::Refused]);
}

#[test]
fn what_only_a_dropped_clone_needed_is_freed_and_so_is_what_all_have_read() {
    let hand = Hand::new();
    let ((one, first), (two, second)) = (counted(10), counted(10));
    let mut body = ReplayBody::new(Line::new([one, two, Turn::Wait]).body());
    let (mut slow, unread) = (body.clone(), body.clone());
    drop(poll(&hand, &mut body));
    drop(poll(&hand, &mut slow));
    drop(poll(&hand, &mut body));
    assert!(is_held(&first) && is_held(&second));
    drop(unread);
    assert!(!is_held(&first) && is_held(&second));
    drop(poll(&hand, &mut slow));
    assert!(!is_held(&second));
}

#[test]
fn a_replay_that_is_the_last_attempt_frees_what_it_has_read() {
    let hand = Hand::new();
    let ((one, first), (two, second)) = (counted(10), counted(10));
    let sum = Turn::Trailers(trailers("7"));
    let mut body = ReplayBody::new(Line::new([one, two, sum]).body());
    let mut copy = body.clone();
    read(&mut body);
    drop(body);
    drop(poll(&hand, &mut copy));
    assert!(!is_held(&first) && is_held(&second));
    drop(copy);
    assert!(!is_held(&second));
}

#[test]
fn up_to_the_cap_it_is_replayed_and_one_byte_beyond_it_all_is_freed_at_once() {
    for (cap, set) in [(64 * 1024, false), (100, true)] {
        for beyond in [false, true] {
            let ((one, first), (two, second)) =
                (counted(cap - 10), counted(10 + usize::from(beyond)));
            let mut body = ReplayBody::new(Line::new([one, two, data("more")]).body());
            if set {
                body = body.at_most(cap);
            }
            let (copy, hand) = (body.replay().unwrap(), Hand::new());
            drop(poll(&hand, &mut body));
            assert!(is_held(&first));
            drop(poll(&hand, &mut body));
            assert_eq!((is_held(&first), is_held(&second)), (!beyond, !beyond));
            if beyond {
                assert!(!copy.can_replay() && copy.replay().is_none());
                assert_eq!(read(&mut body), [got("more"), Got::End], "it streams on");
                assert!(!copy.is_end_stream() && copy.size_hint().exact().is_none());
                assert_eq!(read(&mut { copy }), [Got::Refused]);
            }
        }
    }
}

#[test]
fn after_an_overflow_a_refused_clone_ends_and_readers_side_by_side_read_on() {
    let hand = Hand::new();
    let (long, _) = counted(11);
    let line = Line::new([data("ab"), long.clone(), data("cd"), data("ef")]);
    let mut one = ReplayBody::new(line.body()).at_most(10);
    let (mut two, mut unread) = (one.clone(), one.clone());
    assert_eq!([poll(&hand, &mut one), poll(&hand, &mut two)], [got("ab"), got("ab")]);
    drop(poll(&hand, &mut one));
    for body in [&mut two, &mut unread] {
        assert_eq!([poll(&hand, body), poll(&hand, body)], [Got::Refused, Got::End]);
        assert!(!body.is_end_stream());
    }
    assert_eq!(read(&mut one), [got("cd"), got("ef"), Got::End]);
}

#[test]
fn trailers_count_and_beyond_the_cap_they_reach_only_their_reader() {
    for (cap, fits) in [(8, true), (7, false)] {
        let line = Line::new([data("ab"), Turn::Trailers(trailers("7"))]);
        let mut body = ReplayBody::new(line.body()).at_most(cap);
        let mut copy = body.clone();
        assert_eq!(read(&mut body), [got("ab"), Got::Trailers(trailers("7")), Got::End]);
        assert_eq!(copy.can_replay(), fits);
        assert_eq!(read(&mut copy).len(), if fits { 3 } else { 1 });
    }
}

#[test]
fn a_body_that_says_it_is_longer_is_known_at_once_and_never_kept() {
    let size = |lower, upper| {
        let mut size = SizeHint::new();
        size.set_lower(lower);
        if let Some(upper) = upper {
            size.set_upper(upper);
        }
        size
    };
    for (size, replayable) in [
        (size(10, Some(10)), true),
        (size(11, Some(11)), false),
        (size(11, None), false),
        (size(10, None), true),
        (size(0, Some(99)), true),
    ] {
        let (frame, count) = counted(3);
        let line = Line::new([frame, Turn::Wait]);
        let mut body = ReplayBody::new(line.body().sized(size)).at_most(10);
        assert_eq!(body.can_replay(), replayable, "{size:?}");
        assert_eq!(body.replay().is_some(), replayable);
        let _copy = body.clone();
        drop(poll(&Hand::new(), &mut body));
        assert_eq!(is_held(&count), replayable);
    }
}

#[test]
fn a_smaller_cap_frees_what_is_beyond_it() {
    let (frame, count) = counted(10);
    let mut body = ReplayBody::new(Line::new([frame, data("cd")]).body());
    let copy = body.clone();
    drop(poll(&Hand::new(), &mut body));
    assert!(is_held(&count));
    let body = body.at_most(10);
    assert!(is_held(&count) && copy.can_replay());
    let mut body = body.at_most(9);
    assert!(!is_held(&count) && !copy.can_replay());
    assert_eq!(read(&mut body), [got("cd"), Got::End]);
}

#[test]
fn an_error_reaches_whoever_met_it_and_nobody_can_replay() {
    let hand = Hand::new();
    let (frame, count) = counted(3);
    let line = Line::new([frame, Turn::Fail]);
    let mut body = ReplayBody::new(line.body());
    let (mut copy, mut behind) = (body.clone(), body.clone());
    drop(poll(&hand, &mut body));
    drop(poll(&hand, &mut behind));
    assert_eq!([poll(&hand, &mut body), poll(&hand, &mut body)], [Got::Broke, Got::End]);
    assert!(!is_held(&count) && !line.is_held());
    assert!(!copy.can_replay() && copy.replay().is_none());
    for other in [&mut copy, &mut behind] {
        assert!(!other.is_end_stream() && other.size_hint().exact().is_none());
        assert_eq!([poll(&hand, other), poll(&hand, other)], [Got::Refused, Got::End]);
    }
    assert!(!body.is_end_stream(), "a body that broke off has not ended");
}

#[test]
fn the_inner_body_is_dropped_with_its_last_frame() {
    let line = Line::new([data("ab"), data("cd")]);
    let mut body = ReplayBody::new(line.body().says_its_end());
    let (copy, hand) = (body.clone(), Hand::new());
    poll(&hand, &mut body);
    assert!(line.is_held() && !body.is_end_stream());
    poll(&hand, &mut body);
    assert!(!line.is_held() && body.is_end_stream() && !copy.is_end_stream());
    assert_eq!(read(&mut { copy }), [got("ab"), got("cd"), Got::End]);
}

#[test]
fn each_clone_knows_its_own_size_and_end_and_a_replay_is_framed_as_the_first_was() {
    let hand = Hand::new();
    let line = Line::new([data("abc"), data("de"), Turn::Trailers(trailers("7"))]);
    let mut exact = ReplayBody::new(line.body().sized(SizeHint::with_exact(5)));
    let copy = exact.clone();
    assert_eq!(exact.size_hint().exact(), Some(5));
    poll(&hand, &mut exact);
    assert_eq!((exact.size_hint().exact(), copy.size_hint().exact()), (Some(2), Some(5)));
    poll(&hand, &mut exact);
    assert_eq!((exact.size_hint().exact(), exact.is_end_stream()), (Some(0), false), "trailers");
    poll(&hand, &mut exact);
    assert_eq!((exact.size_hint().exact(), exact.is_end_stream()), (Some(0), true));
    assert_eq!((copy.size_hint().exact(), copy.is_end_stream()), (Some(5), false));

    let mut chunked = ReplayBody::new(Line::new([data("abc"), data("de")]).body());
    let copy = chunked.clone();
    read(&mut chunked);
    assert_eq!((chunked.size_hint().exact(), chunked.is_end_stream()), (Some(0), true));
    assert_eq!((copy.size_hint().lower(), copy.size_hint().upper()), (0, None));
}

#[test]
fn an_empty_body_costs_nothing_and_is_replayed_for_ever() {
    let counted = measure(|| {
        let body = ReplayBody::new(Full::<Bytes>::default()).at_most(0);
        let copy = body.replay().unwrap();
        assert!(copy.can_replay() && copy.is_end_stream());
        assert_eq!(copy.size_hint().exact(), Some(0));
        let mut copy = copy.replay().unwrap();
        assert_eq!(poll(&Hand::new(), &mut copy), Got::End);
    });
    // The hand's one.
    assert!(counted.count_total <= 1, "{counted:?}");
}

#[test]
fn a_body_costs_five_allocations_and_the_list_of_what_is_kept() {
    let allocations = |copies: bool| {
        let line = Line::new([data("ab"), data("cd")]);
        let mut script = Some(line.body());
        let counted = measure(|| {
            let mut body = ReplayBody::new(script.take().unwrap());
            let _copy = copies.then(|| body.clone());
            let mut cx = Context::from_waker(Waker::noop());
            while let Poll::Ready(Some(_)) = Pin::new(&mut body).poll_frame(&mut cx) {}
        });
        counted.count_total
    };
    assert_eq!((allocations(false), allocations(true)), (5, 7));

    let body = ReplayBody::new(Line::new([data("ab")]).body());
    drop(body.clone());
    let clones = measure(|| (0..100).for_each(|_| drop(body.clone())));
    assert_eq!(clones.count_total, 0, "a dropped clone leaves nothing behind");
}

#[test]
fn empty_frames_reach_their_reader_and_are_not_kept() {
    let line = Line::new([data(""), data("ab"), data(""), data("cd")]);
    let mut body = ReplayBody::new(line.body());
    let mut copy = body.clone();
    assert_eq!(read(&mut body), [got(""), got("ab"), got(""), got("cd"), Got::End]);
    assert_eq!(read(&mut copy), [got("ab"), got("cd"), Got::End]);
}

#[tokio::test]
async fn bodies_in_memory_replay_as_they_are() {
    async fn text<B: Body<Error: std::fmt::Debug>>(body: B) -> Bytes {
        body.collect().await.unwrap().to_bytes()
    }
    assert!(().can_replay());
    ().replay().unwrap();
    assert_eq!("ab".replay(), Some("ab"));
    assert_eq!(String::from("ab").replay().as_deref(), Some("ab"));
    assert_eq!(Bytes::from("ab").replay().unwrap(), "ab");
    assert_eq!(vec![1].replay(), Some(vec![1]));
    assert_eq!(text(Full::<Bytes>::from("ab").replay().unwrap()).await, "ab");
    assert_eq!(text(Empty::<Bytes>::new().replay().unwrap()).await, "");
}

#[tokio::test]
async fn bodies_of_every_kind_can_be_wrapped() {
    async fn twice<B>(body: B)
    where
        B: Body<Error: Into<buttress::BoxError>> + Send + 'static,
    {
        fn is_a_client_s_body<B: Send + Sync + Unpin + 'static>(_: &B) {}
        let body = ReplayBody::new(body);
        is_a_client_s_body(&body);
        let copy = body.replay().unwrap();
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
        assert_eq!(copy.collect().await.unwrap().to_bytes(), "hello");
    }
    // Not `Unpin`.
    let stream = || futures::stream::once(async { Ok::<_, std::io::Error>(Bytes::from("hello")) });
    twice(Full::<Bytes>::from("hello")).await;
    twice(Full::<std::io::Cursor<&[u8]>>::new(std::io::Cursor::new(b"hello"))).await;
    twice(axum::body::Body::from_stream(stream())).await;
    twice(StreamBody::new(futures::StreamExt::map(stream(), |data| {
        data.map(http_body::Frame::data)
    })))
    .await;
}
