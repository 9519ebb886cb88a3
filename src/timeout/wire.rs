//! [`Wire`]: the header in which the time left is sent, and how often it made no sense.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{ConfigError, check};
use crate::deadline::Carrier;
use crate::observe::{Emitter, EventKind, Stage};
use crate::sync::{AtomicU64, Ordering};
use crate::timeout::HeaderFormat;
use crate::timeout::grammar::{Written, read_any, read_grpc};

pub(super) const GRPC_TIMEOUT: &str = "grpc-timeout";

#[derive(Debug)]
pub(super) struct Wire {
    /// In lower case.
    name: Box<str>,
    format: HeaderFormat,
    malformed: AtomicU64,
}

impl Wire {
    pub(super) fn new(name: &str, format: HeaderFormat) -> Self {
        Self { name: name.to_ascii_lowercase().into(), format, malformed: AtomicU64::new(0) }
    }

    /// The time that the request says it has left. What makes no sense is counted, and is nothing.
    #[inline]
    pub(super) fn read(&self, request: &impl Carrier, emitter: &Emitter) -> Option<Duration> {
        let text = request.header(&self.name)?;
        // Elsewhere a number without a unit is milliseconds, as proxies write it.
        let read = if *self.name == *GRPC_TIMEOUT { read_grpc } else { read_any };
        let time = read(text);
        if time.is_none() {
            self.malformed.fetch_add(1, Ordering::Relaxed);
            emitter.emit(Stage::Arriving, EventKind::Malformed);
        }
        time
    }

    /// What stands for this time; `None` where nothing of it is left.
    pub(super) fn written(&self, left: Duration) -> Option<Written> {
        Written::new(left, self.format)
    }

    pub(super) fn write(&self, request: &mut impl Carrier, left: Written) {
        request.set_header(&self.name, left.as_str());
    }
}

/// A name that HTTP allows for a header, in letters of either case.
pub(super) fn check_name(setting: &'static str, name: &str) -> Result<(), ConfigError> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let good = !name.is_empty() && name.bytes().all(token);
    check(good, setting, name, "the name of an HTTP header")
}

/// Reads a deadline layer, or one that propagates deadlines, while it is at work. Cheap to clone;
/// keeps no service alive.
#[derive(Clone)]
pub struct DeadlineHandle {
    wire: Arc<Wire>,
}

impl DeadlineHandle {
    pub(super) fn new(wire: Arc<Wire>) -> Self {
        Self { wire }
    }

    /// Headers that made no sense and were ignored, since the layer was built.
    #[must_use]
    pub fn malformed(&self) -> u64 {
        self.wire.malformed.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for DeadlineHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadlineHandle").field("malformed", &self.malformed()).finish()
    }
}
