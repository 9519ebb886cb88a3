//! Foreign code (wakers, owners of memory, inner bodies) that comes back to the body it is called
//! from: it would block for ever if it ran under the lock.

use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use buttress::http::{Replay, ReplayBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::fixture::{Broke, Got, Line, Script, Turn, data, got, poll, read};
use crate::support::{Hand, panics};

type Probe = Arc<Mutex<Option<Box<dyn Fn() + Send>>>>;

fn visit(probe: &Probe) {
    if let Ok(probe) = probe.try_lock()
        && let Some(visit) = &*probe
    {
        visit();
    }
}

/// Wakes nobody, but looks at the body whenever it is woken or dropped.
struct Nosy(Probe, Sender<()>);

impl Wake for Nosy {
    fn wake(self: Arc<Self>) {
        visit(&self.0);
        self.1.send(()).unwrap();
    }
}

impl Drop for Nosy {
    fn drop(&mut self) {
        visit(&self.0);
    }
}

/// Memory that looks at the body when it is freed.
struct Owner(Probe);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        b"owned"
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        visit(&self.0);
    }
}

/// A body that looks at its wrapper whenever it is asked for anything, and when it is dropped.
struct Intrusive(Probe, Script);

impl Body for Intrusive {
    type Data = Bytes;
    type Error = Broke;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broke>>> {
        visit(&self.0);
        // Wakes its reader in the middle of being polled, too.
        cx.waker().wake_by_ref();
        Pin::new(&mut self.1).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        visit(&self.0);
        self.1.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        visit(&self.0);
        self.1.size_hint()
    }
}

impl Drop for Intrusive {
    fn drop(&mut self) {
        visit(&self.0);
    }
}

fn every_way(probe: &Probe, wakings: &Sender<()>, end: &[Turn], cap: usize) {
    let owned = || Turn::Data(Bytes::from_owner(Owner(probe.clone())));
    let line = Line::new([owned(), Turn::Wait, owned(), owned()].into_iter().chain(end.to_vec()));
    let mut one = ReplayBody::new(Intrusive(probe.clone(), line.body())).at_most(cap);
    let (mut two, spare, seen) = (one.clone(), one.clone(), one.clone());
    *probe.lock().unwrap() = Some(Box::new(move || {
        let _ = (seen.size_hint(), seen.is_end_stream(), seen.can_replay());
        drop(seen.clone());
    }));
    let waker = || Waker::from(Arc::new(Nosy(probe.clone(), wakings.clone())));
    for _ in 0..2 {
        for body in [&mut one, &mut two] {
            // A new waker each time: the old one is dropped.
            let _ = Pin::new(body).poll_frame(&mut Context::from_waker(&waker()));
        }
    }
    assert!(line.fire());
    read(&mut one);
    drop(one.at_most(0));
    drop(spare);
    read(&mut two);
    drop(two);
    // Breaks the circle of the probe and the body.
    let seen = probe.lock().unwrap().take();
    drop(seen);
}

/// Runs `work` elsewhere; fails the test if it is stuck.
fn within_ten_seconds(work: impl FnOnce() + Send + 'static) {
    let (done, wait): (Sender<()>, Receiver<()>) = channel();
    let thread = std::thread::spawn(move || {
        work();
        done.send(()).unwrap();
    });
    match wait.recv_timeout(Duration::from_secs(10)) {
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("stuck: a lock was held"),
        _ => thread.join().unwrap(),
    }
}

#[test]
fn no_lock_is_held_over_wakers_owners_and_inner_bodies() {
    within_ten_seconds(|| {
        for end in [&[][..], &[Turn::Fail]] {
            for cap in [100, 7] {
                let (wakings, woken) = channel();
                every_way(&Probe::default(), &wakings, end, cap);
                assert!(woken.try_iter().count() > 0);
            }
        }
    });
}

#[test]
fn no_lock_is_held_over_what_a_dropped_clone_alone_needed() {
    within_ten_seconds(|| {
        let probe = Probe::default();
        let line = Line::new([Turn::Data(Bytes::from_owner(Owner(probe.clone()))), Turn::Wait]);
        let mut body = ReplayBody::new(line.body());
        let unread = body.clone();
        drop(poll(&Hand::new(), &mut body));
        let (seen, visits) = channel();
        *probe.lock().unwrap() = Some(Box::new(move || seen.send(body.size_hint()).unwrap()));
        drop(unread);
        assert_eq!(visits.try_iter().count(), 1);
        drop(probe.lock().unwrap().take());
    });
}

/// Panics at its second frame.
struct Explosive(bool);

impl Body for Explosive {
    type Data = Bytes;
    type Error = Broke;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broke>>> {
        assert!(!self.0, "exploded");
        self.0 = true;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from("ab")))))
    }
}

#[test]
fn a_body_that_panics_has_failed_for_all() {
    let hand = Hand::new();
    let mut body = ReplayBody::new(Explosive(false));
    let mut copy = body.clone();
    assert_eq!(poll(&hand, &mut body), got("ab"));
    assert_eq!(panics(|| poll(&hand, &mut body)), "exploded");
    assert!(!copy.can_replay());
    assert_eq!(poll(&hand, &mut copy), Got::Refused);
    assert_eq!(poll(&hand, &mut body), Got::End);
}

#[test]
fn a_reader_that_is_dropped_or_stuck_leaves_nobody_asleep() {
    for dropped in [true, false] {
        let line = Line::new([Turn::Wait, data("ab")]);
        let mut one = ReplayBody::new(line.body());
        let mut two = one.clone();
        let (first, second) = (Hand::new(), Hand::new());
        assert_eq!(poll(&second, &mut two), Got::Pending);
        // The one that polled last is the one whom the inner body knows.
        assert_eq!(poll(&first, &mut one), Got::Pending);
        let one = (!dropped).then_some(one);
        line.fire();
        assert_eq!(first.woken(), usize::from(!dropped));
        assert_eq!(second.woken(), 1);
        assert_eq!(poll(&second, &mut two), got("ab"));
        drop(one);
    }
}

/// While it is polled, another reader comes along.
struct Overtaken {
    script: Script,
    other: Arc<Mutex<Option<Other>>>,
}

struct Other {
    body: ReplayBody<Overtaken>,
    hand: Hand,
}

impl Body for Overtaken {
    type Data = Bytes;
    type Error = Broke;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broke>>> {
        let polled = Pin::new(&mut self.script).poll_frame(cx);
        if let Some(other) = &mut *self.other.lock().unwrap() {
            assert_eq!(poll(&other.hand, &mut other.body), Got::Pending);
        }
        polled
    }
}

#[test]
fn whoever_comes_while_another_reads_is_woken_by_what_that_one_gets() {
    for (turn, own, others) in [
        // It is not known whether the wait was over before the other came.
        (Turn::Wait, Got::Pending, None),
        (data("ab"), got("ab"), Some(got("ab"))),
        (Turn::Fail, Got::Broke, Some(Got::Refused)),
    ] {
        let line = Line::new([turn]);
        let other = Arc::new(Mutex::new(None));
        let mut body = ReplayBody::new(Overtaken { script: line.body(), other: other.clone() });
        *other.lock().unwrap() = Some(Other { body: body.clone(), hand: Hand::new() });
        let hand = Hand::new();
        assert_eq!(poll(&hand, &mut body), own);
        let mut second = other.lock().unwrap().take().unwrap();
        assert_eq!(second.hand.woken(), 1, "{own:?}");
        if let Some(others) = others {
            assert_eq!(poll(&second.hand, &mut second.body), others);
        } else {
            // And the first is still known to the inner body.
            assert!(line.fire());
            assert_eq!(poll(&second.hand, &mut second.body), Got::End);
            assert_eq!(hand.woken(), 1);
        }
    }
}

#[test]
fn a_reader_that_got_its_frame_is_not_woken_for_the_next() {
    let line = Line::new([Turn::Wait, data("ab"), Turn::Wait]);
    let mut one = ReplayBody::new(line.body());
    let mut two = one.clone();
    let (first, second) = (Hand::new(), Hand::new());
    assert_eq!(poll(&first, &mut one), Got::Pending);
    assert!(line.fire());
    assert_eq!(first.woken(), 1);
    assert_eq!(poll(&first, &mut one), got("ab"));
    assert_eq!(poll(&second, &mut two), got("ab"));
    assert_eq!(poll(&second, &mut two), Got::Pending);
    assert!(line.fire());
    assert_eq!((first.woken(), second.woken()), (0, 1));
}
