//! What a key costs: bytes.

use allocation_counter::measure;
use buttress::keyed::KeyedLayer;
use tower::layer::util::Identity;
use tower::{Layer, service_fn};

use super::inner;
use crate::support::{call, poll_once};

/// With a layer and a service that take no room themselves.
#[test]
fn a_key_takes_no_more_bytes_than_documented() {
    // At 2^n + 1, tables have just grown to twice of what they need.
    for keys in [1_000, (1 << 14) + 1, 100_000_u32] {
        let mut kept = None;
        let counted = measure(|| {
            let layer = KeyedLayer::builder(|key: &u32| *key, |_: &u32| Identity::new());
            let layer = layer.capacity(1 << 20).build();
            let mut service = layer.layer(service_fn(inner));
            for key in 0..keys {
                assert!(poll_once(&mut call(&mut service, key)).is_ready());
            }
            kept = Some((layer.handle(), service));
        });
        let (handle, _service) = kept.expect("it has been built");
        assert_eq!(handle.len(), keys as usize);
        let each = counted.bytes_current / i64::from(keys);
        let own = i64::try_from(size_of::<u32>()).unwrap();
        assert!((100..=300 + own).contains(&each), "{keys} keys: {each} bytes each");
    }
}
