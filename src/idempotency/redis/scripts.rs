//! The scripts: each is atomic, touches the one key that it is given, and reads no clock but the
//! server's.

use redis::Script;

/// One for each operation. The server knows a script by its hash once it has seen it.
pub(super) struct Scripts {
    pub(super) begin: Script,
    pub(super) renew: Script,
    pub(super) mark_effects: Script,
    pub(super) complete: Script,
    pub(super) abandon: Script,
    pub(super) inspect: Script,
    pub(super) forget: Script,
}

/// What an operation does, after what all of them start with: reading the record.
macro_rules! script {
    ($operation:literal) => {
        Script::new(concat!(include_str!("lua/record.lua"), include_str!($operation)))
    };
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            begin: script!("lua/begin.lua"),
            renew: script!("lua/renew.lua"),
            mark_effects: script!("lua/mark_effects.lua"),
            complete: script!("lua/complete.lua"),
            abandon: script!("lua/abandon.lua"),
            inspect: script!("lua/inspect.lua"),
            forget: script!("lua/forget.lua"),
        }
    }
}
