//! Which path a request is for.

use http::request::Parts;

/// What the client asked for.
pub(super) fn original_path(parts: &Parts) -> &str {
    parts.uri.path()
}
