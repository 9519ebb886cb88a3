//! Histories that may not happen: the checker finds each.

use std::time::Duration;

use buttress::idempotency::RecordState;

use super::super::caller::{Answer, Order};
use super::super::ledger::{Note, What};
use super::history::{Call, History, Rule, View};

fn order(body: &str) -> Order {
    Order { tenant: "t".into(), key: "k".into(), body: body.into() }
}

fn answer(status: u16, body: &str, replayed: bool) -> Answer {
    let refusal = (status == 422).then(|| "fingerprint_mismatch".into());
    Answer { status, replayed, refusal, retry_after: None, body: body.into() }
}

fn call(body: &str, answer: Answer) -> Call {
    Call { order: order(body), answer: Some(answer) }
}

fn note(what: What, attempt: u32, fence: u64) -> Note {
    Note { what, key: "t/k".into(), attempt, fence }
}

fn view(at: u64, state: RecordState, attempt: u32, fence: u64) -> View {
    let length = if state == RecordState::Completed { 100 } else { 0 };
    let (at, lease) = (Duration::from_millis(at), Duration::from_millis(500));
    View { key: "t/k".into(), at, state, fence, attempt, length, lease }
}

/// One holder died after its effect; another took over, and had it again. A third request was not
/// the same.
fn good() -> History {
    History {
        calls: vec![
            Call { order: order("tea"), answer: None },
            call("tea", answer(409, "{}", false)),
            call("tea", answer(200, "t/k|tea|2|8", false)),
            call("tea", answer(200, "t/k|tea|2|8", true)),
            call("coffee", answer(422, "{}", false)),
        ],
        notes: vec![
            note(What::Started, 1, 7),
            note(What::Effect, 1, 7),
            note(What::Started, 2, 8),
            note(What::Effect, 2, 8),
        ],
        views: vec![
            view(10, RecordState::InFlight, 1, 7),
            view(700, RecordState::InFlight, 2, 8),
            view(800, RecordState::Completed, 2, 8),
            view(900, RecordState::Completed, 2, 8),
        ],
        lease: Duration::from_millis(600),
        patience: Duration::from_secs(5),
    }
}

#[track_caller]
fn finds(rule: Rule, plant: impl FnOnce(&mut History)) {
    let mut history = good();
    plant(&mut history);
    let found = history.breaches();
    assert!(found.iter().any(|breach| breach.0 == rule), "{rule:?} not among {found:?}");
}

#[test]
fn a_takeover_with_a_second_effect_is_no_breach() {
    assert_eq!(good().breaches(), []);
}

#[test]
fn one_claim_that_runs_twice_is_found() {
    finds(Rule::I1, |history| history.notes.push(note(What::Started, 1, 7)));
    finds(Rule::I1, |history| history.notes.push(note(What::Effect, 2, 8)));
}

#[test]
fn a_claim_that_nobody_had_is_found() {
    finds(Rule::I1, |history| history.notes.push(note(What::Effect, 1, 9)));
    finds(Rule::I1, |history| history.views[2..].iter_mut().for_each(|view| view.fence = 9));
}

#[test]
fn a_second_completion_is_found() {
    finds(Rule::I1, |history| history.views.insert(2, view(750, RecordState::Completed, 1, 7)));
}

#[test]
fn an_ended_record_that_changes_is_found() {
    finds(Rule::I2, |history| history.views[3].length = 99);
    finds(Rule::I2, |history| history.views.push(view(950, RecordState::InFlight, 3, 9)));
    finds(Rule::I2, |history| history.views[3].attempt = 3);
}

#[test]
fn a_fence_that_falls_is_found() {
    finds(Rule::I2, |history| history.views.swap(0, 1));
}

#[test]
fn two_replays_that_differ_are_found() {
    finds(Rule::I3, |history| {
        history.calls.push(call("tea", answer(200, "t/k|tea|1|7", true)));
    });
}

#[test]
fn an_answer_that_nobody_stores_is_found() {
    finds(Rule::I3, |history| {
        history.calls.push(call("tea", answer(200, "t/k|tea|3|9", false)));
    });
    finds(Rule::I3, |history| history.calls.push(call("tea", answer(200, "tea", false))));
}

/// Handed out while the store did not answer, and overtaken before it was stored.
#[test]
fn an_answer_that_a_takeover_has_replaced_is_no_breach() {
    let mut history = good();
    history.calls.insert(0, call("tea", answer(200, "t/k|tea|1|7", false)));
    assert_eq!(history.breaches(), []);
}

#[test]
fn answers_to_other_keys_and_other_requests_are_found() {
    finds(Rule::I4, |history| history.calls[3].answer = Some(answer(200, "u/k|tea|2|8", true)));
    finds(Rule::I4, |history| history.calls[4].answer = Some(answer(200, "t/k|tea|2|8", true)));
    finds(Rule::I4, |history| history.calls[4].answer = Some(answer(409, "{}", false)));
    finds(Rule::I4, |history| history.calls[1].answer = Some(answer(422, "{}", false)));
}

#[test]
fn a_record_that_does_not_end_is_found() {
    finds(Rule::I5, |history| history.views.truncate(2));
    finds(Rule::I5, |history| history.views.clear());
    finds(Rule::I5, |history| {
        history.views[1].at = Duration::from_secs(9);
        history.views[1].fence = 7;
    });
    finds(Rule::I5, |history| history.views[0].lease = Duration::from_secs(60));
    finds(Rule::I5, |history| history.calls.truncate(2));
}

#[test]
fn an_effect_that_no_takeover_explains_is_found() {
    finds(Rule::Effects, |history| history.notes[2].attempt = 1);
}

#[test]
fn an_answer_without_its_effect_is_found() {
    finds(Rule::Lost, |history| history.notes.truncate(3));
}
