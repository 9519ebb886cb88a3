//! [`Extended`] and [`Carrier`] for tonic's requests.

use crate::deadline::{Carrier, Extended};
use crate::http::{only, set};

impl<T> Extended for tonic::Request<T> {
    fn extension<V: Clone + Send + Sync + 'static>(&self) -> Option<&V> {
        self.extensions().get()
    }
}

impl<T> Carrier for tonic::Request<T> {
    fn header(&self, name: &str) -> Option<&[u8]> {
        only(self.metadata().as_ref(), name)
    }

    fn set_header(&mut self, name: &str, value: &str) {
        set(self.metadata_mut().as_mut(), name, value);
    }

    fn insert_extension<V: Clone + Send + Sync + 'static>(&mut self, value: V) {
        self.extensions_mut().insert(value);
    }
}
