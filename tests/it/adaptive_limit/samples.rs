//! What a call says to the algorithm, and which calls say nothing.

use std::time::Duration;

use buttress::adaptive_limit::{AdaptiveLimitLayer, Algorithm, Outcome};
use buttress::admission::{Hold, Settle};
use buttress::classify::classify_fn;
use buttress::timeout::TimeoutLayer;
use buttress::{Class, Reason, Rejectable};
use tokio::time::{Instant, advance};
use tower::{Layer, ServiceBuilder};

use super::MS;
use super::puppet::Puppet;
use crate::support::{Ask, Fault, Mock, call, poll_once, refusal};

fn limit(puppet: &Puppet) -> AdaptiveLimitLayer<Puppet> {
    AdaptiveLimitLayer::builder().algorithm(puppet.clone()).build()
}

/// What a call that ends with this class says, whatever it answered.
async fn says(class: Class, ask: Ask) -> Vec<Outcome> {
    let puppet = Puppet::at(9.0);
    let layer = AdaptiveLimitLayer::builder()
        .algorithm(puppet.clone())
        .classify(classify_fn(move |_: Result<&u32, &Fault>| class))
        .build();
    drop(call(&mut layer.layer(Mock::new()), ask).await);
    puppet.outcomes()
}

#[tokio::test(start_paused = true)]
async fn success_and_permanent_are_latency_samples() {
    for ask in [Ask::Answer(1), Ask::Fail(1), Ask::Refuse(Reason::TimedOut)] {
        assert_eq!(says(Class::Success, ask).await, [Outcome::Answered], "{ask:?}");
        assert_eq!(says(Class::Permanent, ask).await, [Outcome::Answered], "{ask:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn overload_is_a_drop() {
    for retry_after in [None, Some(MS)] {
        for ask in [Ask::Answer(1), Ask::Fail(1), Ask::Refuse(Reason::TimedOut)] {
            let said = says(Class::Overload { retry_after }, ask).await;
            assert_eq!(said, [Outcome::Overloaded], "{ask:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_a_sample_and_a_timeout() {
    assert_eq!(says(Class::Transient, Ask::Refuse(Reason::TimedOut)).await, [Outcome::TimedOut]);
    // As it comes in practice, with the default classifier.
    let puppet = Puppet::at(9.0);
    let mut service = ServiceBuilder::new()
        .layer(limit(&puppet))
        .layer(TimeoutLayer::new(50 * MS))
        .service(Mock::new());
    assert_eq!(refusal(call(&mut service, Ask::Hold).await).reason(), Reason::TimedOut);
    let ended = puppet.ended();
    assert_eq!((ended.len(), ended[0].outcome), (1, Outcome::TimedOut));
    assert!((50 * MS..=51 * MS).contains(&ended[0].latency), "{:?}", ended[0].latency);
}

#[tokio::test(start_paused = true)]
async fn other_transients_and_ignored_calls_count_as_finished_without_a_sample() {
    for ask in [Ask::Answer(1), Ask::Fail(1), Ask::Refuse(Reason::CircuitOpen)] {
        assert_eq!(says(Class::Transient, ask).await, [Outcome::Unknown], "{ask:?}");
    }
    for ask in [Ask::Answer(1), Ask::Fail(1), Ask::Refuse(Reason::TimedOut)] {
        assert_eq!(says(Class::Ignore, ask).await, [Outcome::Unknown], "{ask:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_default_classifier_tells_answers_errors_refusals_and_timeouts_apart() {
    let puppet = Puppet::at(9.0);
    let mut service = limit(&puppet).layer(Mock::new());
    for (ask, outcome) in [
        (Ask::Answer(1), Outcome::Answered),
        (Ask::Fail(1), Outcome::Unknown),
        (Ask::Refuse(Reason::BulkheadFull), Outcome::Unknown),
        (Ask::Refuse(Reason::DeadlineExceeded), Outcome::Unknown),
        (Ask::Refuse(Reason::TimedOut), Outcome::TimedOut),
    ] {
        drop(call(&mut service, ask).await);
        assert_eq!(puppet.outcomes(), [outcome], "{ask:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn abandoned_calls_count_as_finished_without_a_sample() {
    let puppet = Puppet::at(9.0);
    let mut service = limit(&puppet).layer(Mock::new());
    drop(call(&mut service, Ask::Hold));
    let mut polled = call(&mut service, Ask::Hold);
    assert!(poll_once(&mut polled).is_pending());
    drop(polled);
    assert_eq!(puppet.outcomes(), [Outcome::Unknown; 2]);
    assert_eq!(puppet.admitted().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_algorithm_is_handed_the_time_the_calls_in_flight_and_the_latency() {
    let puppet = Puppet::at(9.0);
    let mut service = limit(&puppet).layer(Mock::new());
    let start = Instant::now();
    let held = call(&mut service, Ask::Hold);
    advance(5 * MS).await;
    assert_eq!(call(&mut service, Ask::After(20 * MS, 1)).await, Ok(1));
    let admitted = puppet.admitted();
    assert_eq!(admitted.iter().map(|call| call.in_flight).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(admitted[0].now - start, Duration::ZERO);
    assert_eq!(admitted[1].now - start, 5 * MS);
    drop(held);
    let [answered, dropped] = puppet.ended()[..] else { panic!("two calls") };
    assert_eq!((answered.in_flight, dropped.in_flight), (1, 0), "without the one that ended");
    assert_eq!((answered.mark, dropped.mark), (2, 1), "each with its own mark");
    assert_eq!((answered.latency, answered.now - start), (20 * MS, 25 * MS));
    assert_eq!(dropped.now - start, 25 * MS);
}

#[tokio::test(start_paused = true)]
async fn refused_calls_are_no_samples_but_tell_that_the_limit_is_in_use() {
    let puppet = Puppet::at(1.0);
    let layer = limit(&puppet);
    let mut service = layer.layer(Mock::new());
    let pressed = || puppet.ended().iter().map(|call| call.pressed).collect::<Vec<_>>();
    // Warm: what was long ago does not count.
    for _ in 0..1000 {
        assert_eq!(call(&mut service, Ask::Answer(1)).await, Ok(1));
    }
    assert_eq!(pressed(), vec![false; 1000]);
    puppet.admitted();
    let held = call(&mut service, Ask::Hold);
    for _ in 0..10 {
        refusal(call(&mut service, Ask::Answer(1)).await);
    }
    assert_eq!((puppet.admitted().len(), pressed().len()), (1, 0), "the refused are not shown");
    drop(held);
    assert_eq!(pressed(), [true]);
    assert_eq!(call(&mut service, Ask::Answer(1)).await, Ok(1));
    assert_eq!(pressed(), [false], "nobody since");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_the_algorithm_has_no_use_for_is_not_heard_of_again() {
    let puppet = Puppet::at(9.0);
    let layer = limit(&puppet);
    let mut service = layer.layer(Mock::new());
    puppet.set_listens(false);
    let unheard = call(&mut service, Ask::Hold);
    puppet.set_listens(true);
    assert_eq!(call(&mut service, Ask::Answer(1)).await, Ok(1));
    drop(unheard);
    assert_eq!((puppet.admitted().len(), puppet.ended().len()), (2, 1));
    assert_eq!(layer.handle().in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn as_many_calls_as_it_says_are_not_shown() {
    let puppet = Puppet::at(9.0);
    let mut service = limit(&puppet).layer(Mock::new());
    puppet.set_listens(false);
    puppet.set_skip(3);
    for shown in [1, 0, 0, 0, 1, 0, 0, 0, 1] {
        assert_eq!(call(&mut service, Ask::Answer(1)).await, Ok(1));
        assert_eq!(puppet.admitted().len(), shown);
    }
    // Asked after an end as well.
    puppet.set_skip(0);
    puppet.set_listens(true);
    for _ in 0..3 {
        drop(call(&mut service, Ask::Answer(1)).await);
    }
    let heard = call(&mut service, Ask::Hold);
    assert_eq!(puppet.admitted().len(), 1);
    puppet.set_skip(2);
    drop(heard);
    for shown in [0, 0, 1] {
        assert_eq!(call(&mut service, Ask::Answer(1)).await, Ok(1));
        assert_eq!(puppet.admitted().len(), shown);
    }
}

#[tokio::test(start_paused = true)]
async fn once_somebody_is_refused_the_next_call_is_shown_all_the_same() {
    let puppet = Puppet::at(2.0);
    let mut service = limit(&puppet).layer(Mock::new());
    puppet.set_skip(1000);
    let mut held = vec![call(&mut service, Ask::Hold), call(&mut service, Ask::Hold)];
    refusal(call(&mut service, Ask::Answer(1)).await);
    held.pop();
    assert_eq!(puppet.admitted().len(), 1);
    assert_eq!(call(&mut service, Ask::Answer(1)).await, Ok(1));
    assert_eq!(puppet.admitted().len(), 1, "in spite of the thousand");
    assert!(puppet.ended()[0].pressed);
    assert_eq!(call(&mut service, Ask::Answer(1)).await, Ok(1));
    assert_eq!(puppet.admitted().len(), 0, "and then it can do without again");
}

/// A puppet that counts the time it was handed, and would see it run backwards.
#[derive(Debug)]
struct Forward(Option<Instant>);

impl Algorithm for Forward {
    fn limit(&self) -> f64 {
        64.0
    }

    fn admitted(&mut self, call: &buttress::adaptive_limit::Admitted) -> Option<u64> {
        assert!(self.0.is_none_or(|last| last <= call.now), "time ran backwards");
        self.0 = Some(call.now);
        Some(0)
    }

    fn ended(&mut self, call: &buttress::adaptive_limit::Ended) {
        assert!(self.0.is_none_or(|last| last <= call.now), "time ran backwards");
        self.0 = Some(call.now);
    }
}

#[test]
fn time_never_runs_backwards_whichever_thread_comes_first() {
    let layer = AdaptiveLimitLayer::builder().algorithm(Forward(None)).build();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut service = layer.layer(Mock::new());
                for _ in 0..5_000 {
                    assert!(poll_once(&mut call(&mut service, Ask::Answer(1))).is_ready());
                }
            });
        }
    });
}

#[tokio::test(start_paused = true)]
async fn a_streaming_answer_has_its_latency_to_the_head_and_its_slot_to_the_end() {
    let puppet = Puppet::at(1.0);
    let layer = limit(&puppet);
    let mut service = layer.layer(Mock::new());
    for (class, outcome) in [
        (Class::Success, Outcome::Answered),
        (Class::Overload { retry_after: None }, Outcome::Overloaded),
        (Class::Transient, Outcome::Unknown),
    ] {
        let mut answering = call(&mut service, Ask::After(20 * MS, 1));
        let (answer, permit) = std::future::poll_fn(|cx| answering.as_mut().poll_hold(cx)).await;
        assert_eq!(answer, Ok(1));
        drop(answering);
        advance(500 * MS).await;
        assert_eq!(layer.handle().in_flight(), 1, "the body is on its way");
        refusal(call(&mut service, Ask::Answer(1)).await);
        assert!(puppet.ended().is_empty());
        permit.unwrap().settle(class);
        assert_eq!(layer.handle().in_flight(), 0);
        let ended = puppet.ended();
        assert_eq!((ended.len(), ended[0].outcome), (1, outcome), "the class at the end");
        assert_eq!(ended[0].latency, 20 * MS, "to the head");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_dropped_is_an_abandoned_call_and_a_timeout_at_the_head_stays_one() {
    let puppet = Puppet::at(9.0);
    let layer = limit(&puppet);
    let mut service = layer.layer(Mock::new());
    let mut answering = call(&mut service, Ask::Answer(1));
    let (_, held) = std::future::poll_fn(|cx| answering.as_mut().poll_hold(cx)).await;
    drop((answering, held));
    assert_eq!((puppet.outcomes(), layer.handle().in_flight()), (vec![Outcome::Unknown], 0));

    let mut failing = call(&mut service, Ask::Refuse(Reason::TimedOut));
    let (outcome, held) = std::future::poll_fn(|cx| failing.as_mut().poll_hold(cx)).await;
    assert!(outcome.unwrap_err().rejected().is_some());
    held.unwrap().settle(Class::Transient);
    assert_eq!(puppet.outcomes(), [Outcome::TimedOut]);
}

#[cfg(feature = "http")]
#[tokio::test(start_paused = true)]
async fn with_hold_body_a_call_lasts_as_long_as_its_body() {
    use buttress::http::HoldBody;
    use http_body_util::{BodyExt, Full};
    use tower::{ServiceExt, service_fn};

    let puppet = Puppet::at(1.0);
    let layer = AdaptiveLimitLayer::builder().algorithm(puppet.clone()).queue(1).build();
    let service = HoldBody::new(layer.clone()).layer(service_fn(async |_: http::Request<()>| {
        tokio::time::sleep(20 * MS).await;
        Ok::<_, buttress::BoxError>(http::Response::new(Full::<bytes::Bytes>::from("a body")))
    }));
    let response = service.oneshot(http::Request::new(())).await.unwrap();
    advance(500 * MS).await;
    assert_eq!((layer.handle().in_flight(), puppet.ended().len()), (1, 0));
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "a body");
    assert_eq!(layer.handle().in_flight(), 0);
    let [ended] = puppet.ended()[..] else { panic!("one call") };
    assert_eq!((ended.outcome, ended.latency.as_millis()), (Outcome::Answered, 20));
}
