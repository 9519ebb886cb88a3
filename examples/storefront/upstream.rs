//! The services behind the storefront: real servers on loopback, whose mood can be set.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
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
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use crate::record::Record;
use crate::script::{Mood, Route};

const BACKLOG: u32 = 1024;

/// A running service.
#[derive(Debug)]
pub(crate) struct Upstream {
    address: SocketAddr,
    mood: watch::Sender<Mood>,
    server: JoinHandle<io::Result<()>>,
}

impl Upstream {
    /// The service behind `route`, which takes a time within `pace` for an answer.
    pub(crate) fn start(
        route: Route,
        pace: Range<Duration>,
        seed: u64,
        record: Arc<Record>,
    ) -> io::Result<Self> {
        let listener = reserve((Ipv4Addr::LOCALHOST, 0).into())?.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        let (mood, moods) = watch::channel(Mood::Healthy);
        let chance = Mutex::new(SmallRng::seed_from_u64(seed));
        let desk = Arc::new(Desk { route, pace, chance, moods: moods.clone(), record });
        let server = tokio::spawn(live(listener, address, moods, desk));
        Ok(Self { address, mood, server })
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
    let answer = service_fn(|_: Request<Incoming>| desk.answer());
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

/// What the connections of one service share.
struct Desk {
    route: Route,
    pace: Range<Duration>,
    chance: Mutex<SmallRng>,
    moods: watch::Receiver<Mood>,
    record: Arc<Record>,
}

impl Desk {
    async fn answer(&self) -> Result<Response<Full<Bytes>>, Infallible> {
        self.record.reached(self.route);
        let mood = *self.moods.borrow();
        let mut answer = Response::new(Full::from("{\"done\":true}"));
        match mood {
            Mood::Healthy => sleep(self.draw()).await,
            Mood::Slow => sleep(self.draw() * 10).await,
            Mood::Errors => *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
            Mood::Hanging | Mood::Refusing => pending().await,
        }
        Ok(answer)
    }

    fn draw(&self) -> Duration {
        let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
        chance.random_range(self.pace.clone())
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

    #[tokio::test]
    async fn a_hung_call_is_cut_and_the_port_is_refused_until_the_service_is_back() {
        let record = Arc::new(Record::new(Instant::now()));
        let pace = Duration::from_millis(1)..Duration::from_millis(2);
        let payments = Upstream::start(Route::Checkout, pace, 1, record.clone()).unwrap();

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
