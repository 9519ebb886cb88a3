//! Keys on the caller's side: one for all attempts, and which answers are worth another.

mod advice;
mod attempts;
mod keys;
mod wire;

use std::sync::{Arc, Mutex};

use http::{HeaderMap, Request};

/// What a server saw of the headers of each request, in order.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<HeaderMap>>>);

impl Seen {
    fn note(&self, headers: &HeaderMap) {
        self.0.lock().unwrap().push(headers.clone());
    }

    /// The values of a header; the empty text where a request has none.
    fn values(&self, header: &str) -> Vec<String> {
        let seen = self.0.lock().unwrap();
        let text = |headers: &HeaderMap| {
            headers.get(header).map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
        };
        seen.iter().map(text).collect()
    }

    fn keys(&self) -> Vec<String> {
        self.values("idempotency-key")
    }
}

fn ask(method: &str) -> Request<&'static str> {
    Request::builder().method(method).uri("http://shop/orders").body("tea").unwrap()
}

#[track_caller]
fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12])
        && text.bytes().all(|digit| digit == b'-' || digit.is_ascii_hexdigit())
}

#[track_caller]
fn is_quoted_uuid(text: &str) -> bool {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).is_some_and(is_uuid)
}
