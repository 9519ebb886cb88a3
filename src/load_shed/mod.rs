//! Load shedding: refuse at once what the service has no room for, and the least important first.
//!
//! # What it does
//!
//! [`LoadShedLayer::new`] is always ready. It refuses a call with
//! [`Reason::Overloaded`](crate::Reason::Overloaded) when the inner service is not ready for it.
//!
//! With any of these, calls may wait for the inner service, in a bounded line:
//!
//! - [`Builder::fail_fast`]: once the inner service has been pending for so long, those who wait
//!   are refused, and whoever comes at once. A task drives its readiness on meanwhile.
//! - [`Builder::queue_delay`]: overload is seen by the delay in the queue and not by the CPU, which
//!   is as busy in a service that keeps up. The rule is that of controlled delay: a queue in which even the
//!   shortest wait of an interval is above the target does not drain, it stands. Then a call may
//!   wait for the target only, and the newest go first, since their callers most likely still wait.
//!
//! With either of these a share of the calls is refused before any waits:
//!
//! - [`Builder::signal`]: any gauge of overload, from 0 to 1, says how large a share.
//! - [`Builder::priority`]: who is refused goes by priority and not by chance. The share is that of
//!   the signals, or of the calls of late that found no room. Classes go one after the other, the
//!   last first; within a class whole levels. With [`UserLevels`] those are users, so that some are
//!   served in full where otherwise nobody would be.
//!
//! What is [exempt](Builder::exempt) is never shed: where the inner service is not ready, it waits.
//!
//! # When to use it
//!
//! Outermost in a server, right after what observes and sets deadlines, over anything that has a
//! readiness: a limit of tower's, a buffer, a connection. A [bulkhead](crate::bulkhead) has none of
//! its own and refuses by itself; over it the queue of this layer stays empty.
//!
//! Priorities are for services that several kinds of callers share. They cost one lock and one
//! reading of the clock for each call. Never take one from the network as it is: the closure decides
//! whom it believes.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use buttress::LiftLayer;
//! use buttress::load_shed::{LoadShedLayer, PriorityClass};
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let shed = LoadShedLayer::builder()
//!     .name("front")
//!     .queue_delay(Duration::from_millis(5), Duration::from_millis(100))
//!     .priority(|path: &&str| path.starts_with("/pay").then(|| PriorityClass::Critical.into()))
//!     .exempt(|path: &&str| *path == "/healthz")
//!     .build();
//! let handle = shed.handle();
//!
//! let service = ServiceBuilder::new()
//!     .layer(shed)
//!     .layer(LiftLayer)
//!     .concurrency_limit(100)
//!     .service_fn(async |path: &'static str| Ok::<_, std::io::Error>(path.len()));
//!
//! assert_eq!(service.oneshot("/pay/42").await.unwrap(), 7);
//! assert!(!handle.is_shedding());
//! # }
//! ```
//!
//! # What it counts
//!
//! The wait for the inner service's readiness, from the call on: not the time in the service. Only
//! the oldest in line, while overloaded the newest, asks the inner service; the others do not queue
//! up in it. A call for which it is ready at once never waits, and passes those who do.
//!
//! The line ends its overload when it has run empty and nobody has had to be refused for an
//! interval.
//!
//! # Readiness
//!
//! Always ready, or failed where the inner service fails. On `Pending` the instance leaves the
//! inner service's own queue: it goes, and a fresh clone takes its place, which is why this layer
//! asks for `S: Clone`. So an idle instance never keeps a place or a permit that it was given later.
//! An instance that was ready keeps what it has until its call, as the tower contract has it; if
//! that call is shed, it gives it back.
//!
//! A call that waits readies a clone of its own. In [`shadow`](Builder::shadow) alone `poll_ready`
//! waits as the inner service's does.
//!
//! # Cancellation
//!
//! Dropping the response future leaves the line, and hands the turn on.
//!
//! # Sharing
//!
//! All services made by one layer value, and all their clones, share one line, one clock of
//! fail-fast and one histogram of priorities; a clone of the layer value does too. They should
//! lead to the same inner service: for another, build a second layer, or those who wait for one
//! wait behind the other.
//!
//! # Events
//!
//! `Queued` · `Admitted { waited }` · `Settled` · `Abandoned` · `Rejected` with `Overloaded` ·
//! `WouldReject` in shadow mode.

mod config;
mod drive;
mod excess;
mod exempt;
mod future;
mod gate;
mod handle;
mod layer;
mod line;
mod queued;
mod service;
mod signal;
mod stall;
mod state;
pub(crate) mod threshold;
mod throttle;

pub use crate::priority::{FindPriority, NoPriority, Priority, PriorityClass, UserLevels};
pub use config::{Config, QueueDelay};
pub use drive::{Drive, Driven, Duty, Undriven};
pub use exempt::{FindExempt, Nobody};
pub use future::ResponseFuture;
pub use handle::Handle;
pub use layer::{Builder, LoadShedLayer, Mode, QueueOf};
pub use queued::QueuedFuture;
pub use service::{LoadShed, Queue, Refuse};
pub use signal::{Gauge, Signal};
pub use throttle::{
    Throttle, ThrottleBuilder, ThrottleConfig, ThrottleFuture, ThrottleHandle, ThrottleLayer,
    ThrottledCall,
};
