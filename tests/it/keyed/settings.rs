//! Settings from a file.

use buttress::keyed::{self, KeyedLayer};
use serde_json::{from_value, json, to_value};

use super::*;

#[test]
fn keys_are_read_with_their_bounds() {
    let mut expected = keyed::Config::default();
    (expected.capacity, expected.idle) = (500, Some(600_000 * MS));
    (expected.overflow, expected.shadow) = (Overflow::Refuse, true);
    expected.name = Some("tenants".into());
    let text = json!({
        "capacity": 500, "idle": "10m", "overflow": "refuse", "shadow": true, "name": "tenants",
    });
    assert_eq!(from_value::<keyed::Config>(text.clone()).unwrap(), expected);
    assert_eq!(to_value(&expected).unwrap(), text);
    assert_eq!(from_value::<keyed::Config>(json!({})).unwrap(), keyed::Config::default());

    let told = from_value::<keyed::Config>(json!({ "idle": 10 })).unwrap_err().to_string();
    assert!(told.starts_with("keyed.idle: "), "{told}");
    let told = from_value::<keyed::Config>(json!({ "keys": 3 })).unwrap_err().to_string();
    assert!(told.starts_with("keyed") && told.contains("`keys`"), "{told}");
    let file = from_value(json!({ "capacity": 0 })).unwrap();
    let make = |_: &u8| BulkheadLayer::new(1);
    let error = KeyedLayer::from_config(|key: &u8| *key, make, file).unwrap_err();
    assert_eq!(error.to_string(), "keyed.capacity is 0, allowed is 1 to 16,777,216");
}
