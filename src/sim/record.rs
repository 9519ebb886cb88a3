//! What happened, as it happens: counts, series over time, and the hash of the trace.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::report::{ClientReport, LayerReport, ServerReport, Violation};
use crate::classify::Class;
use crate::observe::{Event, EventKind, Observe};
use crate::rejected::Reason;
use crate::sync::{Mutex, lock};
use crate::time::{Instant, now};

/// The resolution of the series of a short run.
const MOMENT: Duration = Duration::from_millis(100);
/// How many entries a series has at most.
const MOMENTS: u32 = 36_000;

/// The resolution of the series of a run that is this long: days would not fit into memory, tenth
/// of a second by tenth of a second.
pub(super) fn moment_of(run_for: Duration) -> Duration {
    let tenths = (run_for / MOMENTS).as_nanos().div_ceil(MOMENT.as_nanos()).max(1);
    MOMENT * u32::try_from(tenths).unwrap_or(u32::MAX)
}

type Invariant = (String, Box<dyn Fn() -> Result<(), String> + Send>);

/// Shared by all that takes part in a run.
pub(super) struct Record {
    start: Instant,
    book: Mutex<Book>,
    invariants: Mutex<Vec<Invariant>>,
    /// Spares runs without invariants the lock.
    watching: AtomicBool,
}

#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) hash: u64,
    pub(super) events: u64,
    /// Requests that have not ended.
    pub(super) open: u64,
    pub(super) clients: Vec<ClientReport>,
    pub(super) servers: Vec<ServerReport>,
    pub(super) layers: Vec<LayerReport>,
    pub(super) violation: Option<Violation>,
    /// The report is made: what tasks do as they are dropped is none of the run.
    closed: bool,
}

/// How a request ended for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Answered,
    Refused(Reason),
    Failed,
    TimedOut,
    Panicked,
}

/// What happens at a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// An attempt was sent to it, by this group of clients.
    Sent { client: u32 },
    /// It got there.
    Arrived,
    /// It did not, or its answer did not get back.
    Cut,
    /// It was answered at once, without work.
    Refused,
    /// Its work was done.
    Completed,
    /// Its work was done, in vain.
    Failed,
    /// It was lost in a crash.
    Reset,
    /// The caller has gone, and the work stopped.
    Cancelled,
    /// The caller has gone, and the work is done all the same.
    Unheard,
    /// The faults changed.
    Changed,
}

impl Record {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            start: now(),
            book: Mutex::new(Book::default()),
            invariants: Mutex::new(Vec::new()),
            watching: AtomicBool::new(false),
        })
    }

    pub(super) fn start(&self) -> Instant {
        self.start
    }

    /// Since the run began.
    pub(super) fn elapsed(&self) -> Duration {
        now().saturating_duration_since(self.start)
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&mut Book) -> T) -> T {
        look(&mut lock(&self.book))
    }

    /// Ends the record: what comes later is left out.
    pub(super) fn close(&self) -> Book {
        self.read(|book| std::mem::replace(book, Book { closed: true, ..Book::default() }))
    }

    pub(super) fn always(&self, invariant: Invariant) {
        lock(&self.invariants).push(invariant);
        self.watching.store(true, Ordering::Relaxed);
    }

    /// A client sends a request.
    pub(super) fn offered(&self, client: u32, id: u64, at: Duration) {
        self.note(at, [1, u64::from(client), id], |book| {
            book.open += 1;
            let client = &mut book.clients[client as usize];
            client.offered += 1;
            client.moment(at).offered += 1;
        });
    }

    /// A request ended: after how many attempts of the client itself, and how long.
    pub(super) fn ended(&self, client: u32, id: u64, end: End, attempts: u32, from: Duration) {
        let at = self.elapsed();
        let latency = at.saturating_sub(from);
        let word = match end {
            End::Answered => 0,
            End::Failed => 1,
            End::TimedOut => 2,
            End::Panicked => 3,
            End::Refused(reason) => 4 + reason as u64,
        };
        self.note(at, [2, u64::from(client) << 32 | word, id], |book| {
            book.open -= 1;
            let client = &mut book.clients[client as usize];
            client.attempts += u64::from(attempts);
            client.end(end, from, latency);
        });
    }

    /// Something happens to an attempt, at a server.
    pub(super) fn server(&self, server: u32, mark: Mark, id: u64) {
        let at = self.elapsed();
        let word = match mark {
            Mark::Sent { .. } => 3,
            Mark::Arrived => 4,
            Mark::Cut => 5,
            Mark::Refused => 6,
            Mark::Completed => 7,
            Mark::Failed => 8,
            Mark::Reset => 9,
            Mark::Cancelled => 10,
            Mark::Unheard => 11,
            Mark::Changed => 12,
        };
        self.note(at, [word, u64::from(server), id], |book| {
            let server = &mut book.servers[server as usize];
            match mark {
                Mark::Sent { client } => {
                    server.sent += 1;
                    server.moment(at).sent += 1;
                    if !server.callers.contains(&client) {
                        server.callers.push(client);
                    }
                }
                Mark::Arrived => server.arrived += 1,
                Mark::Cut => server.cut += 1,
                Mark::Refused => server.refused += 1,
                Mark::Completed => {
                    server.completed += 1;
                    server.moment(at).completed += 1;
                }
                Mark::Failed => server.failed += 1,
                Mark::Reset => server.reset += 1,
                Mark::Cancelled => server.cancelled += 1,
                Mark::Unheard => server.unheard += 1,
                Mark::Changed => {}
            }
        });
    }

    /// How much a server has in work and in line.
    pub(super) fn load(&self, server: u32, at: Duration, busy: u32, waiting: usize) {
        self.read(|book| {
            let Some(server) = book.servers.get_mut(server as usize) else { return };
            let moment = server.moment(at);
            moment.busy = moment.busy.max(busy);
            moment.waiting = moment.waiting.max(waiting as u64);
        });
    }

    fn note(&self, at: Duration, words: [u64; 3], enter: impl FnOnce(&mut Book)) {
        {
            let mut book = lock(&self.book);
            if book.closed {
                return;
            }
            book.mix(nanos(at));
            for word in words {
                book.mix(word);
            }
            book.events += 1;
            enter(&mut book);
        }
        if self.watching.load(Ordering::Relaxed) {
            self.verify(at);
        }
    }

    /// Asks every invariant, after every event. The first that is broken ends the run.
    fn verify(&self, at: Duration) {
        // An event within an invariant's own look is none of the run.
        let Ok(invariants) = self.invariants.try_lock() else { return };
        if self.read(|book| book.violation.is_some()) {
            return;
        }
        for (name, holds) in &*invariants {
            if let Err(detail) = holds() {
                self.read(|book| {
                    let event = book.events;
                    book.violation = Some(Violation::new(name, event, at, detail));
                });
                return;
            }
        }
    }
}

impl Book {
    /// One word into the hash: a rotation, so that the order counts, and a multiplication by an
    /// odd number with well-spread bits (that of `FxHash`).
    fn mix(&mut self, word: u64) {
        self.hash = (self.hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Record")
    }
}

fn nanos(at: Duration) -> u64 {
    u64::try_from(at.as_nanos()).unwrap_or(u64::MAX)
}

/// Takes the events of layers into the run's record: they are counted in the report, and are part
/// of the trace. See [`World::observer`](super::World::observer).
#[derive(Clone, Debug)]
pub struct Observer {
    record: Arc<Record>,
}

impl Observer {
    pub(super) fn new(record: &Arc<Record>) -> Self {
        Self { record: Arc::clone(record) }
    }
}

impl Observe for Observer {
    fn on_event(&self, event: &Event<'_>) {
        let layer = self.enroll(event.layer, event.name);
        Bound { record: Arc::clone(&self.record), layer }.on_event(event);
    }

    fn bind(&self, layer: &'static str, name: &str) -> Option<Arc<dyn Observe>> {
        let layer = self.enroll(layer, name);
        Some(Arc::new(Bound { record: Arc::clone(&self.record), layer }))
    }
}

impl Observer {
    fn enroll(&self, layer: &'static str, name: &str) -> usize {
        self.record.read(|book| {
            let known = book.layers.iter().position(|l| l.layer == layer && l.name == name);
            known.unwrap_or_else(|| {
                book.layers.push(LayerReport::new(layer, name));
                book.layers.len() - 1
            })
        })
    }
}

/// An observer that knows whose events it takes.
struct Bound {
    record: Arc<Record>,
    layer: usize,
}

impl Observe for Bound {
    fn on_event(&self, event: &Event<'_>) {
        let (kind, took) = without_times(event.kind);
        let record = &self.record;
        let at = record.elapsed();
        let counted = |book: &mut Book| book.layers.get_mut(self.layer).map(|it| it.count(kind));
        let Some(word) = record.read(counted) else { return };
        record.note(at, [13, (self.layer as u64) << 32 | word as u64, nanos(took)], |_| {});
    }
}

/// The kind of event, for counting, and the time in it.
fn without_times(kind: EventKind) -> (EventKind, Duration) {
    match kind {
        EventKind::Admitted { waited } => (EventKind::Admitted { waited: Duration::ZERO }, waited),
        EventKind::Settled { class, latency } => {
            let class = match class {
                Class::Overload { .. } => Class::Overload { retry_after: None },
                other => other,
            };
            (EventKind::Settled { class, latency: Duration::ZERO }, latency)
        }
        EventKind::Retried { attempt, delay } => {
            (EventKind::Retried { attempt, delay: Duration::ZERO }, delay)
        }
        other => (other, Duration::ZERO),
    }
}
