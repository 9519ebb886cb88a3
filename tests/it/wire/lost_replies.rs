//! Replies that are lost: the server does the work, and the client does not hear of it.

use std::time::Duration;

use super::clients::{self, ATTEMPT, TOTAL, Traffic};
use super::history::{History, What, by_id};
use super::net::Protocol;
use super::play::{Fault, Play, every_seed};
use super::servers::Guard;

const BEGINS: Duration = Duration::from_millis(300);
const ENDS: Duration = Duration::from_millis(450);

/// A client and its naive twin, who post; in the middle the replies are lost.
fn run(seed: u64, protocol: Protocol, keyed: bool) -> History {
    let mut play = Play::new(seed, 20);
    play.server("server", protocol, 2, Guard::Full(32, 32));
    play.server("naive-server", protocol, 2, Guard::Nothing);
    let traffic = Traffic { keyed, ..Traffic::posts("client", "server") };
    play.client(traffic, move |history, _| clients::retrying(history, "client", protocol, 3, seed));
    let traffic = Traffic { keyed, ..Traffic::posts("naive", "naive-server") };
    play.client(traffic, move |history, _| clients::naive(history, "naive", protocol));
    play.run(&[(BEGINS, Fault::CutReplies), (ENDS, Fault::Mend)])
}

/// Every request that arrived took effect once, whatever its client was told.
fn has_one_effect_each(history: &History) {
    let (sent, effects) = (by_id(&history.sent("client")), by_id(&history.effects("server")));
    assert!(sent.values().all(|sent| *sent == 1), "sent again");
    assert!(effects.values().all(|effects| *effects == 1), "took effect twice");
    let calls = history.calls("client");
    assert!(calls.iter().filter(|c| c.is_good()).all(|c| effects.contains_key(&c.id)));

    let unheard = calls.iter().filter(|c| !c.is_good() && effects.contains_key(&c.id));
    assert!(unheard.count() > 3, "no reply was lost");
    let naive = by_id(&history.effects("naive-server"));
    assert!(naive.values().any(|effects| *effects > 1), "the naive client does no harm");
}

#[test]
fn a_post_without_a_key_whose_reply_is_lost_is_never_sent_again() {
    let check = |history: &History| {
        has_one_effect_each(history);
        // Over HTTP/1 each call has a connection of its own, and whatever is sent arrives.
        assert_eq!(history.effects("server").len(), history.calls("client").len());
        assert!(history.count(&What::TimedOut { client: "client" }) > 3);
    };
    every_seed(|seed| run(seed, Protocol::Http1, false), check);
}

#[test]
fn over_http2_a_post_without_a_key_whose_reply_is_lost_is_never_sent_again() {
    every_seed(|seed| run(seed, Protocol::Http2, false), has_one_effect_each);
}

#[test]
fn a_post_with_a_key_whose_reply_is_lost_is_sent_again_and_answered() {
    let check = |history: &History| {
        let (sent, effects) = (by_id(&history.sent("client")), by_id(&history.effects("server")));
        clients::assert_within_budget(history, "client");
        let calls = history.calls("client");
        let heard_of_later = calls.iter().filter(|c| c.is_good() && sent[&c.id] > 1).count();
        assert!(heard_of_later > 3, "{heard_of_later} were sent again and answered");
        // What the key is for: the server has seen them twice.
        assert!(effects.values().any(|effects| *effects > 1));
        assert!(calls.iter().all(|c| c.took <= TOTAL + ATTEMPT));
    };
    every_seed(|seed| run(seed, Protocol::Http1, true), check);
}
