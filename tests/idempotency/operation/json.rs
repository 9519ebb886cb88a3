//! `JsonCodec`.

use std::sync::{Arc, Mutex};

use buttress::idempotency::{
    Disposition, Fingerprint, Idempotent, JsonCodec, MemoryStore, OpIdentity, OperationError,
    OperationLayer, OutcomeCodec, Scope,
};
use bytes::Bytes;
use tower::{Layer, Service, ServiceExt, service_fn};

/// What is kept is no more and no less than JSON can say of it.
type Outcome = Result<(u64, String), Option<String>>;

fn every() -> [Outcome; 4] {
    [
        Ok((7, "tea".to_owned())),
        Ok((0, "\u{0}\"\u{1f375}".to_owned())),
        Err(Some("no".to_owned())),
        Err(None),
    ]
}

#[test]
fn what_is_written_is_read_again() {
    let codec = JsonCodec::store_everything();
    for outcome in every() {
        let bytes = codec.encode(&outcome).unwrap();
        assert_eq!(codec.decode(bytes).unwrap(), outcome);
    }
    let written = codec.encode(&every()[0]).unwrap();
    assert_eq!(written, r#"{"Ok":[7,"tea"]}"#, "read by the next version of the program");
}

#[test]
fn what_makes_no_sense_is_an_error() {
    let codec = JsonCodec::<(u64, String), Option<String>>::new();
    for bytes in ["", "{}", "{\"Ok\":[7]}", "{\"Maybe\":1}", "{\"Ok\":[7,\"tea\"]} "] {
        let read = codec.decode(Bytes::from_static(bytes.as_bytes()));
        assert_eq!(read.is_ok(), bytes.ends_with(' '), "{bytes:?}");
    }
}

#[test]
fn what_is_kept_is_a_choice() {
    use Disposition::{Release, Store, Tombstone};
    let judge =
        |codec: JsonCodec<_, _>| every().map(|outcome| OutcomeCodec::classify(&codec, &outcome));
    assert_eq!(judge(JsonCodec::new()), [Store, Store, Release, Release]);
    assert_eq!(judge(JsonCodec::store_everything()), [Store; 4]);
    let own = JsonCodec::new().classify(|outcome: &Outcome| match outcome {
        Ok((0, _)) => Tombstone,
        Err(None) => Release,
        _ => Store,
    });
    assert_eq!(judge(own), [Store, Tombstone, Store, Release]);
}

#[tokio::test(start_paused = true)]
async fn a_replay_is_equal_to_the_answer() {
    let identify = |item: &&'static str| {
        Ok(Some(OpIdentity::new(Scope::new("all"), "place", item, Fingerprint::of(item))))
    };
    for outcome in every() {
        let store = MemoryStore::new();
        let layer = OperationLayer::new(store, identify, JsonCodec::store_everything());
        let answers = Arc::new(Mutex::new(Some(outcome.clone())));
        let mut service = layer.layer(service_fn(move |_: &'static str| {
            std::future::ready(answers.lock().unwrap().take().expect("it runs once"))
        }));
        for _ in 0..2 {
            let answer = service.ready().await.unwrap().call("tea").await;
            let answer = answer.map(Idempotent::into_inner).map_err(|error| match error {
                OperationError::Inner(error) => error,
                other => panic!("{other:?}"),
            });
            assert_eq!(answer, outcome);
        }
    }
}
