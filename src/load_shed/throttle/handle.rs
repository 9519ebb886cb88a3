//! [`ThrottleHandle`]: a throttle from outside.

use std::fmt;
use std::sync::Arc;

use crate::load_shed::throttle::shared::Control;
use crate::time;

/// Reads a throttle while it is at work. Cheap to clone; keeps no service alive.
#[derive(Clone)]
pub struct ThrottleHandle {
    control: Arc<Control>,
}

impl ThrottleHandle {
    pub(super) fn new(control: Arc<Control>) -> Self {
        Self { control }
    }

    /// The probability with which a call that came now would be refused, 0 to 1. The floor is not
    /// in it.
    #[must_use]
    pub fn probability(&self) -> f64 {
        self.control.machine.probability(time::now())
    }

    /// The requests in the window, those that were refused here among them.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.control.machine.counts(time::now()).requests
    }

    /// Those that the service did not turn out to refuse: calls in flight are among them.
    #[must_use]
    pub fn accepts(&self) -> u64 {
        self.control.machine.counts(time::now()).accepts
    }
}

impl fmt::Debug for ThrottleHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThrottleHandle")
            .field("probability", &self.probability())
            .field("requests", &self.requests())
            .field("accepts", &self.accepts())
            .finish()
    }
}
