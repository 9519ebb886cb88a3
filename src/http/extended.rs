//! [`Extended`] and [`Carrier`] for HTTP requests.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::deadline::{Carrier, Extended};

impl<B> Extended for http::Request<B> {
    fn extension<T: Clone + Send + Sync + 'static>(&self) -> Option<&T> {
        self.extensions().get()
    }
}

impl<B> Carrier for http::Request<B> {
    fn header(&self, name: &str) -> Option<&[u8]> {
        only(self.headers(), name)
    }

    fn set_header(&mut self, name: &str, value: &str) {
        set(self.headers_mut(), name, value);
    }

    fn insert_extension<T: Clone + Send + Sync + 'static>(&mut self, value: T) {
        self.extensions_mut().insert(value);
    }
}

/// The value of a header; nothing of one that is repeated, as [`Carrier::header`] wants it.
pub(crate) fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    Some(if values.next().is_some() { b"" } else { first.as_bytes() })
}

/// Does nothing for a name or a value that HTTP does not allow.
pub(crate) fn set(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}
