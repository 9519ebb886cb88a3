//! The services behind the storefront: real servers on loopback, whose mood can be set.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

use crate::record::Record;
use crate::script::{Mood, Route};

const BACKLOG: u32 = 1024;

/// How much longer a call takes while the service is slow, or cold.
const SLOW: u32 = 10;

/// What a service can do.
#[derive(Clone, Debug)]
pub(crate) struct Capacity {
    /// A call takes a worker for a time within these bounds.
    pub(crate) pace: Range<Duration>,
    /// Calls that are worked on at once; the rest stand in line.
    pub(crate) workers: usize,
    /// The share of calls that fail while all is well: one in so many.
    pub(crate) fails_one_in: Option<u32>,
    /// For how long it is slow after it has come back: its caches are empty.
    pub(crate) cold_for: Duration,
}

/// A running service.
#[derive(Debug)]
pub(crate) struct Upstream {
    address: SocketAddr,
    mood: watch::Sender<Mood>,
    life: watch::Receiver<Arc<Life>>,
    server: JoinHandle<io::Result<()>>,
}

impl Upstream {
    /// The service behind `route`.
    pub(crate) fn start(
        route: Route,
        capacity: Capacity,
        seed: u64,
        record: Arc<Record>,
    ) -> io::Result<Self> {
        let listener = reserve((Ipv4Addr::LOCALHOST, 0).into())?.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        let (mood, moods) = watch::channel(Mood::Healthy);
        let chance = Mutex::new(SmallRng::seed_from_u64(seed));
        let (lives, life) = watch::channel(Life::new(capacity.workers, Duration::ZERO));
        let desk = Arc::new(Desk { route, capacity, chance, moods: moods.clone(), record, lives });
        let server = tokio::spawn(live(listener, address, moods, desk));
        Ok(Self { address, mood, life, server })
    }

    /// Calls that stand in line for a worker.
    pub(crate) fn in_line(&self) -> usize {
        self.life.borrow().in_line.load(Ordering::Relaxed)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// Ends it.
    ///
    /// # Errors
    ///
    /// The error that ended it before its time, where there was one.
    pub(crate) async fn stop(self) -> io::Result<()> {
        self.server.abort();
        self.server.await.unwrap_or(Ok(()))
    }
}

/// Binds without listening: connecting is refused, and nobody else can take the port.
fn reserve(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // The connections that were cut linger in the kernel for a minute and hold the port too.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Listens except while it refuses connections.
async fn live(
    mut listener: TcpListener,
    address: SocketAddr,
    mut moods: watch::Receiver<Mood>,
    desk: Arc<Desk>,
) -> io::Result<()> {
    loop {
        serve(listener, &mut moods, &desk).await;
        let socket = reserve(address)?;
        if moods.wait_for(|mood| *mood != Mood::Refusing).await.is_err() {
            return Ok(());
        }
        desk.lives.send_replace(Life::new(desk.capacity.workers, desk.capacity.cold_for));
        listener = socket.listen(BACKLOG)?;
    }
}

/// Accepts and serves until the mood is to refuse. Then the listener and all connections close.
async fn serve(listener: TcpListener, moods: &mut watch::Receiver<Mood>, desk: &Arc<Desk>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(converse(stream, desk.clone()));
                }
            }
            _ = moods.wait_for(|mood| *mood == Mood::Refusing) => break,
            Some(_) = connections.join_next() => {}
        }
    }
    connections.shutdown().await;
}

async fn converse(stream: TcpStream, desk: Arc<Desk>) {
    // Neither a caller that hangs up nor one that cannot be told about Nagle is worth a word.
    let _ = stream.set_nodelay(true);
    let answer = service_fn(|_: Request<Incoming>| desk.clone().answer());
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

/// What the connections of one service share.
struct Desk {
    route: Route,
    capacity: Capacity,
    chance: Mutex<SmallRng>,
    moods: watch::Receiver<Mood>,
    record: Arc<Record>,
    lives: watch::Sender<Arc<Life>>,
}

/// The service from one start to its next: the line is gone with the process that it stood in.
#[derive(Debug)]
struct Life {
    workers: Semaphore,
    in_line: AtomicUsize,
    cold_until: Instant,
}

impl Life {
    fn new(workers: usize, cold_for: Duration) -> Arc<Self> {
        let cold_until = Instant::now() + cold_for;
        Arc::new(Self {
            workers: Semaphore::new(workers),
            in_line: AtomicUsize::new(0),
            cold_until,
        })
    }
}

impl Desk {
    async fn answer(self: Arc<Self>) -> Result<Response<Full<Bytes>>, Infallible> {
        self.record.reached(self.route);
        let mut answer = Response::new(Full::from("{\"done\":true}"));
        let mood = *self.moods.borrow();
        let done = match mood {
            // A task of its own: nobody tells whoever does the work that its caller has gone.
            Mood::Healthy | Mood::Slow => tokio::spawn(self.work()).await.unwrap_or(false),
            // It fails before it gets to work.
            Mood::Errors => false,
            Mood::Hanging | Mood::Refusing => pending().await,
        };
        if !done {
            *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        }
        Ok(answer)
    }

    /// Waits for a worker, and has it do its work. Whether that went well.
    async fn work(self: Arc<Self>) -> bool {
        let life = self.lives.borrow().clone();
        life.in_line.fetch_add(1, Ordering::Relaxed);
        let worker = life.workers.acquire().await;
        life.in_line.fetch_sub(1, Ordering::Relaxed);
        let slow = *self.moods.borrow() == Mood::Slow || Instant::now() < life.cold_until;
        let (pace, fails) = self.draw();
        sleep(if slow { pace * SLOW } else { pace }).await;
        drop(worker);
        !fails
    }

    fn draw(&self) -> (Duration, bool) {
        let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
        let pace = chance.random_range(self.capacity.pace.clone());
        let fails = self.capacity.fails_one_in.is_some_and(|of| chance.random_ratio(1, of));
        (pace, fails)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::{Instant, timeout};

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    async fn connect(payments: &Upstream) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(payments.address()).await?;
        stream.write_all(b"POST / HTTP/1.1\r\nhost: payments\r\ncontent-length: 0\r\n\r\n").await?;
        Ok(stream)
    }

    /// Up to the first bytes of an answer; none where the connection was cut.
    async fn first_bytes(stream: &mut TcpStream) -> Vec<u8> {
        let mut bytes = vec![0; 12];
        let length = timeout(SOON, stream.read(&mut bytes)).await.unwrap().unwrap_or(0);
        bytes.truncate(length);
        bytes
    }

    fn brisk(workers: usize) -> Capacity {
        let pace = Duration::from_millis(1)..Duration::from_millis(2);
        Capacity { pace, workers, fails_one_in: None, cold_for: Duration::ZERO }
    }

    #[tokio::test]
    async fn work_goes_on_when_its_caller_has_gone_and_a_restart_empties_the_line() {
        let record = Arc::new(Record::new(Instant::now()));
        let payments = Upstream::start(Route::Checkout, brisk(1), 1, record).unwrap();
        payments.set_mood(Mood::Slow);
        let mut callers = Vec::new();
        for _ in 0..50 {
            callers.push(connect(&payments).await.unwrap());
        }
        let line = async |at_least: bool| {
            while (payments.in_line() > 30) != at_least {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(SOON, line(true)).await.unwrap();
        drop(callers);
        sleep(Duration::from_millis(50)).await;
        assert!(payments.in_line() > 20, "the line left with its callers");
        payments.set_mood(Mood::Refusing);
        sleep(Duration::from_millis(20)).await;
        payments.set_mood(Mood::Healthy);
        timeout(SOON, line(false)).await.unwrap();
        assert_eq!(payments.in_line(), 0);
        payments.stop().await.unwrap();
    }

    #[tokio::test]
    async fn a_hung_call_is_cut_and_the_port_is_refused_until_the_service_is_back() {
        let record = Arc::new(Record::new(Instant::now()));
        let payments = Upstream::start(Route::Checkout, brisk(1), 1, record.clone()).unwrap();

        let mut healthy = connect(&payments).await.unwrap();
        assert_eq!(first_bytes(&mut healthy).await, b"HTTP/1.1 200");

        payments.set_mood(Mood::Errors);
        let mut failing = connect(&payments).await.unwrap();
        assert_eq!(first_bytes(&mut failing).await, b"HTTP/1.1 500");

        payments.set_mood(Mood::Hanging);
        let mut hung = connect(&payments).await.unwrap();
        let silence = timeout(Duration::from_millis(50), hung.read_u8()).await;
        assert!(silence.is_err(), "a hanging service answered: {silence:?}");

        payments.set_mood(Mood::Refusing);
        for mut connection in [healthy, failing, hung] {
            let rest = first_bytes(&mut connection).await;
            assert!(!rest.starts_with(b"HTTP"), "an answer from a service that is gone");
        }
        let refused = connect(&payments).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);

        payments.set_mood(Mood::Healthy);
        let mut back = loop {
            match connect(&payments).await {
                Ok(stream) => break stream,
                Err(_) => sleep(Duration::from_millis(1)).await,
            }
        };
        assert_eq!(first_bytes(&mut back).await, b"HTTP/1.1 200");
        assert_eq!(record.with(|notes| notes.reached.len()), 4);
        payments.stop().await.unwrap();
    }
}
