use super::*;
use crate::http::every_reason;
use serde_json::{Value, json};

fn body(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

#[test]
fn every_problem_is_a_document_of_rfc_9457() {
    for reason in every_reason() {
        let problem = Problem::new(Rejected::new(reason).named("tenant-7"));
        let response = problem.respond();
        let of_the_layer = reason as usize >= Reason::KeyMissing as usize;
        let family = if of_the_layer { "idempotency" } else { "buttress" };
        let expected = json!({
            "type": format!("urn:problem-type:{family}:{reason}"),
            "title": reason.text(),
            "status": response.status().as_u16(),
            "code": reason.code(),
            "detail": problem.detail(),
        });
        assert_eq!(body(&response), expected);
        assert_eq!(problem.type_uri(), expected["type"]);
        let headers = response.headers();
        assert_eq!(headers["content-type"], "application/problem+json");
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["buttress-refusal"], reason.code());
        assert!(!headers.contains_key("link") && !headers.contains_key("idempotency-replayed"));
        let rejected = response.extensions().get::<Rejected>().unwrap();
        assert_eq!((rejected.reason(), rejected.name()), (reason, Some("tenant-7")));
        let wire = format!("{headers:?} {:?}", response.body());
        assert!(!wire.contains("tenant-7"), "{wire}");
    }
}

#[test]
fn the_statuses_and_waits_are_those_of_the_contract() {
    let table = [
        (Reason::KeyMissing, 400, None),
        (Reason::KeyInvalid, 400, None),
        (Reason::BodyRead, 400, None),
        (Reason::ScopeMissing, 403, None),
        (Reason::InProgress, 409, Some("1")),
        (Reason::OutcomeUnknown, 409, None),
        (Reason::ResultUnavailable, 409, None),
        (Reason::RequestTooLarge, 413, None),
        (Reason::FingerprintMismatch, 422, None),
        (Reason::StoreUnavailable, 503, Some("1")),
        (Reason::StoreFull, 503, Some("1")),
        (Reason::Overloaded, 503, Some("1")),
    ];
    for (reason, status, wait) in table {
        let problem = Problem::new(Rejected::new(reason));
        let response = problem.respond();
        assert_eq!(response.status(), status, "{reason}");
        let said = response.headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap());
        assert_eq!(said, wait, "{reason}");
        assert_eq!(problem.retry_after(), wait.map(|_| UNKNOWN_WAIT), "{reason}");
    }
}

#[test]
fn a_wait_that_is_known_is_said_in_whole_seconds() {
    let wait = Duration::from_millis(2_001);
    let problem = Problem::new(Rejected::new(Reason::InProgress).after(wait));
    assert_eq!(problem.respond().headers()[RETRY_AFTER], "3");
    assert_eq!(problem.retry_after(), Some(wait));
}

#[test]
fn details_differ_and_name_nothing() {
    let of_the_layer =
        every_reason().filter(|reason| *reason as usize >= Reason::KeyMissing as usize);
    let details: Vec<_> = of_the_layer
        .filter(|reason| *reason != Reason::StoreFull)
        .map(|reason| Problem::new(Rejected::new(reason)).detail())
        .collect();
    for (at, detail) in details.iter().enumerate() {
        assert!(!details[..at].contains(detail), "{detail}");
        assert!(detail.is_ascii() && detail.ends_with('.'), "{detail}");
    }
}

#[test]
fn a_tombstone_says_the_status_of_the_answer_that_was_not_kept() {
    let problem = Problem::new(Rejected::new(Reason::ResultUnavailable)).of_original(201);
    assert_eq!(problem.original_status(), Some(201));
    let response = problem.respond();
    assert_eq!(body(&response)["original_status"], 201);
    assert_eq!(body(&response)["status"], 409);
}

#[test]
fn a_mismatch_can_have_another_status() {
    let mismatch = Problem::new(Rejected::new(Reason::FingerprintMismatch));
    let response = mismatch.answered_with(StatusCode::CONFLICT).respond();
    assert_eq!(response.status(), 409);
    assert_eq!(body(&response)["status"], 409);
    assert_eq!(body(&response)["code"], "fingerprint_mismatch");
}

#[test]
fn the_documentation_is_linked_where_there_is_one() {
    let problem = Problem::new(Rejected::new(Reason::KeyMissing));
    let problem = problem.documented_at(Some("https://example.com/keys?a=1".into()));
    assert_eq!(problem.docs_url(), Some("https://example.com/keys?a=1"));
    let link = problem.respond().headers()[LINK].clone();
    assert_eq!(link, "<https://example.com/keys?a=1>; rel=\"describedby\"");
}

#[test]
fn what_would_end_the_link_is_no_url() {
    assert!(check_docs_url("https://example.com/keys#top").is_ok());
    for nonsense in ["", "a b", "https://x/>", "<x", "\"", "x\r\ny: z", "https://\u{fc}.de"] {
        assert!(check_docs_url(nonsense).is_err(), "{nonsense:?}");
    }
    assert_eq!(
        check_docs_url("a b").unwrap_err().to_string(),
        "idempotency.docs_url is \"a b\", allowed is a URI, in visible ASCII"
    );
}
