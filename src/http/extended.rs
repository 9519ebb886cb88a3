//! [`Extended`] for HTTP requests.

use crate::deadline::Extended;

impl<B> Extended for http::Request<B> {
    fn extension<T: Clone + Send + Sync + 'static>(&self) -> Option<&T> {
        self.extensions().get()
    }
}
