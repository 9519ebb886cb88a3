//! [`Extended`] for tonic's requests.

use crate::deadline::Extended;

impl<T> Extended for tonic::Request<T> {
    fn extension<V: Clone + Send + Sync + 'static>(&self) -> Option<&V> {
        self.extensions().get()
    }
}
