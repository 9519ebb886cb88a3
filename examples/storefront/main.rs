//! A storefront whose payments service is in trouble, without `buttress` and with it.
//!
//! ```text
//! cargo run --release --example storefront --all-features \
//!     [-- --seconds 20 --store memory|redis|postgres --store-url URL --json --svg PATH --check]
//! ```
//!
//! # What runs
//!
//! Everything talks HTTP over loopback sockets, and every storefront has all of it to itself:
//!
//! ```text
//!                     storefront (axum)                    services (hyper)
//!                   ┌───────────────────┐
//! load generator ──▶│ /checkout ─┐      │── hyper client ─▶ payments: healthy, slow, errors,
//!   250 + 150       │            40     │                   hanging, refusing, healthy again
//!   calls/s,        │          workers  │
//!   500 ms deadline │ /catalog ──┘      │── hyper client ─▶ catalog: healthy throughout
//!                   │ /metrics          │
//! customers ───────▶│ /orders           │── a table of orders
//!   20 orders/s     └───────────────────┘
//! ```
//!
//! Two storefronts run at once, on the same traffic and through the same script. They differ in
//! what `stack.rs` puts around their handlers. The naked one calls payments as people write it,
//! with a timeout of 125 ms and three retries at once. In the protected one these calls pass a
//! retry with a budget, a circuit breaker, a bulkhead and a timeout, and before each of the two
//! routes stands an adaptive limit: a call that its workers could not serve in time is refused
//! before it takes one. All refusals reach the customer as problem documents.
//!
//! Payments has 10 workers of 30 ms a call, so three quarters of it are in use while all is well,
//! and one call in fifty fails even then. Whatever it has begun, or has in line, it does, since
//! nobody tells it that a caller has gone. When it comes back its caches are cold: for a twentieth
//! of the run, 2 s at most, it is as slow as while it is slow.
//!
//! # Why the catalog suffers
//!
//! `/catalog` needs nothing of payments. But every server has a bound on the work that it does at
//! once: threads, connections of a pool, memory. Here it is 40 workers for both routes, first
//! come first served, and a worker that has begun a request goes on to its end, as a thread does.
//! Once payments is slow, checkouts sit on all 40, and the catalog's customers stand in line
//! behind them until they give up.
//!
//! # Why payments does not come back
//!
//! While payments is slow, or cold, calls time out in its line and are sent again. Each attempt is
//! work, and all but the last of a call are work for nobody. When payments is fast again its line
//! holds more than it can do within any attempt's timeout, so everything it does is too late and
//! is asked for once more: 40 workers of the storefront with an attempt of 125 ms each send 320 a
//! second, payments does 333. The trouble is over, and the overload goes on, fed by the retries
//! alone. It is a metastable failure (Bronson et al., "Metastable Failures in Distributed
//! Systems", `HotOS` 2021).
//!
//! In the protected storefront the breaker keeps the calls away as soon as they time out, and the
//! budget bounds what retries add, so the line never gets long.
//!
//! # How to read the figures
//!
//! - **good** is a 2xx answer, read to its end within 500 ms of the time at which the call was
//!   due. Arrivals are open-loop: they never wait for answers. A call belongs to the phase in
//!   which it was due.
//! - **p50, p99** are over all answers, refusals too. A call without an answer took 500 ms.
//! - **reached** counts the calls that got through to the service behind the route: requests that
//!   it received, and attempts to connect that were refused (counted by the client's connector,
//!   since nobody is there to count them). **x** is that for each call of a customer. Calls are
//!   counted when they get there: those of customers who had to wait in line for a worker may
//!   fall into the next phase.
//! - **refused** is read off the `buttress-refusal` header of the storefront's answers.
//! - **seconds to recover** run from the start of the last phase until 95 % of the calls of the
//!   last second (of a twentieth of the run, if that is shorter) were good, for good. Those of
//!   payments run from the time at which its caches are warm until its line is short, for good.
//!
//! What each layer is for shows in the phase that needs it. The retry hides the one call in fifty
//! that fails by chance. While payments is slow, the bulkhead lets through what payments can
//! carry, and answers the rest at once; the adaptive limit of `/checkout` finds that it is slow
//! too, and turns away many of them before they take a worker. While it fails, hangs or refuses,
//! the breaker keeps the calls away, and the timeout ends the few that probe.
//!
//! # Why an order is placed twice, or not at all
//!
//! `/orders` has customers of its own, who lose their connections: three of five do, by a close or
//! a reset, while the handler works on their order. hyper drops the handler of a client that has
//! gone, within a millisecond, wherever it stands: before its row is written, and the order is lost
//! unless the customer comes back; or after it, and then whoever comes back has a second one. The
//! customer cannot tell the one from the other. So all attempts of an order carry one key, and in
//! the protected storefront an idempotency layer has the handler run once for it, in a task that no
//! customer can end, keeps its answer, and gives that to whoever asks again. It stands behind those
//! who sign the customer in, since two customers may have the same key, and before the limit and the
//! timeout, since what is there already takes no worker.
//!
//! With `--store redis` and `--store postgres` each storefront has two instances, and each attempt
//! goes to the other one than the attempt before: what one has begun, the other must know of. With
//! PostgreSQL the answer is kept in the transaction that writes the row. Without such a transaction
//! nobody can know whether a row was written by an instance that crashed; so the handler tells the
//! layer before it writes, and its key would then be refused, rather than run again.
//!
//! The table of orders is counted by key, with those that a handler has begun and left without a
//! row. **Given before** are answers that say so in `idempotency-replayed`.

mod args;
#[path = "../support/arguments.rs"]
mod arguments;
mod check;
mod load;
mod orders;
mod plot;
mod progress;
mod record;
mod report;
mod run;
mod script;
#[path = "../support/servers.rs"]
mod servers;
mod shop;
mod stack;
mod table;
mod upstream;

use std::env;
use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use tower::BoxError;

use crate::args::{Command, Options};
use crate::check::Promise;
use crate::orders::stores::Stores;
use crate::report::Report;
use crate::script::{DEADLINE, Script};

fn main() -> ExitCode {
    let options = match args::parse(env::args_os().skip(1)) {
        Ok(Command::Run(options)) => options,
        Ok(Command::Help) => return finish(say(args::HELP).map(|()| ExitCode::SUCCESS)),
        Err(bad) => {
            eprintln!("storefront: {bad}");
            return ExitCode::from(2);
        }
    };
    finish(compare(&options))
}

fn finish(outcome: Result<ExitCode, BoxError>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        eprintln!("storefront: {error}");
        ExitCode::FAILURE
    })
}

/// One run of each storefront, and what came of it.
fn compare(options: &Options) -> Result<ExitCode, BoxError> {
    let script = Script::lasting(options.length);
    let url = options.store_url.clone().or_else(|| env::var("STORE_URL").ok());
    let stores = Stores::open(options.store, url.as_deref())?;
    let runtime = tokio::runtime::Runtime::new()?;
    let [naked, protected] = runtime.block_on(async {
        stores.prepare().await?;
        let records = run::records();
        let (runs, ()) =
            tokio::join!(run::both(&script, &stores, &records), progress::show(&script, &records));
        stores.clean_up().await?;
        runs
    })?;
    let reports = [&naked, &protected].map(|run| Report::new(&script, &run.notes));
    let mut promises = check::promises(&script, &reports[0], &reports[1], &protected.metrics);
    promises.extend(orders::check::promises(&naked.orders, &protected.orders));

    let plot = plot::render(&script, &naked.notes, &protected.notes)?;
    let svg = options.svg.display();
    fs::write(&options.svg, plot).map_err(|error| format!("--svg {svg}: {error}"))?;
    if options.json {
        let [naked, protected] = [(&reports[0], &naked), (&reports[1], &protected)]
            .map(|(report, run)| report.to_json(&run.orders));
        let store = options.store.to_string();
        say(&format!("{:#}\n", json!({ "store": store, "naked": naked, "protected": protected })))?;
        eprintln!("plot: {svg}");
    } else {
        let orders = [&naked.orders, &protected.orders];
        let table =
            table::render(&script, [&reports[0], &reports[1]], stores.kind, orders, &promises)?;
        say(&format!("{table}\nplot: {svg}\n"))?;
    }
    warn_of_lag(naked.notes.lag.max(protected.notes.lag));
    Ok(if options.check { judge(&promises) } else { ExitCode::SUCCESS })
}

fn judge(promises: &[Promise]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for Promise { text, found, .. } in promises.iter().filter(|promise| !promise.kept) {
        eprintln!("storefront: broken promise: {text}: {found}");
        code = ExitCode::FAILURE;
    }
    code
}

/// A load generator that was late has measured the machine, and not the storefronts.
fn warn_of_lag(lag: Duration) {
    if lag > DEADLINE / 2 {
        eprintln!(
            "storefront: the load generator was up to {lag:.0?} behind its schedule: this \
                   machine is too busy for figures to be trusted"
        );
    }
}

/// Prints, and takes a reader that has gone away, as `head` does, for an end and not a failure.
fn say(text: &str) -> Result<(), BoxError> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
