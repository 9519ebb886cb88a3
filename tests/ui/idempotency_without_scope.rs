// Whose keys are they? A layer that does not know would answer one tenant with another's answer.

use buttress::idempotency::{IdempotencyLayer, MemoryStore};

fn main() {
    let _ = IdempotencyLayer::builder(MemoryStore::new()).build();
}
