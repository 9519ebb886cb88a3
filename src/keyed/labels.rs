//! [`Labels`]: names for so many keys, and no more.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use crate::sync::{Mutex, lock};

/// Names for the instances of keys, to be shown in events and metric labels: the first keys to come
/// are named by themselves, and all others alike.
///
/// Metrics never forget a label, and keys come and go. A capacity bounds how many keys there are at
/// a time, this how many names there ever are. A clone shares the names.
///
/// ```
/// use buttress::{circuit_breaker::CircuitBreakerLayer, keyed::{KeyedLayer, Labels}};
///
/// struct Request { host: String }
///
/// let labels = Labels::new(50, "other hosts");
/// let layer = KeyedLayer::by_ref(
///     |request: &Request| request.host.as_str(),
///     move |host: &str| CircuitBreakerLayer::builder().name(labels.of(host)).build(),
/// );
/// # let _ = layer;
/// ```
#[derive(Clone)]
pub struct Labels {
    most: usize,
    names: Arc<Mutex<HashSet<Arc<str>>>>,
    others: Arc<str>,
}

impl Labels {
    /// Names of their own for the first `most` keys, and `others` for the rest.
    #[must_use]
    pub fn new(most: usize, others: impl Into<Arc<str>>) -> Self {
        Self { most, names: Arc::default(), others: others.into() }
    }

    /// The name for this key. For the same key the same name, always.
    #[must_use]
    pub fn of(&self, key: &str) -> Arc<str> {
        let mut names = lock(&self.names);
        if let Some(name) = names.get(key) {
            return name.clone();
        }
        if names.len() >= self.most {
            return self.others.clone();
        }
        let name: Arc<str> = key.into();
        names.insert(name.clone());
        name
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Labels")
            .field("most", &self.most)
            .field("names", &lock(&self.names).len())
            .finish_non_exhaustive()
    }
}
