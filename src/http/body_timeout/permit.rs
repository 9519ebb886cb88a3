//! [`Call`]: the permit of a call on its way to the end of its body.

use crate::admission::{Permit, Settle};
use crate::classify::{Class, DefaultClassifier};
use crate::sync::anchors::Anchor;
use crate::timeout::state::Shared;

/// A call whose head has come.
pub(super) struct Call(pub(super) Permit<Anchor<Shared>>);

impl Settle for Call {
    type Classifier = DefaultClassifier;

    fn classifier(&self) -> &DefaultClassifier {
        &DefaultClassifier
    }

    fn settle(mut self, class: Class) {
        self.0.settle(class);
    }
}
