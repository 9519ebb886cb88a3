//! A proxy between a store and its server that can be told to misbehave.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// What it does with what passes, from now on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mode {
    Pass,
    /// No connection: those there are break, new ones are closed at once.
    Refuse,
    /// Nothing arrives, and nobody is told. What was sent arrives once that is over.
    BlackHole,
    /// Requests reach the server; its next answer is thrown away, and the connection breaks.
    CutAfterRequest,
    /// Each answer takes this much longer.
    Delay(Duration),
}

#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    round_trips: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, modes) = watch::channel(Mode::Pass);
        let round_trips = Arc::new(AtomicUsize::new(0));
        let trips = Arc::clone(&round_trips);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *modes.borrow() != Mode::Refuse {
                    tokio::spawn(connection(client, server, modes.clone(), Arc::clone(&trips)));
                }
            }
        });
        Self { address, mode, round_trips, accepting }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// How often a client has sent something and waited for an answer, since this was last asked.
    /// Requests that are on their way together count once.
    pub(crate) fn round_trips(&self) -> usize {
        self.round_trips.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn connection(
    client: TcpStream,
    server: SocketAddr,
    modes: watch::Receiver<Mode>,
    round_trips: Arc<AtomicUsize>,
) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let asked = AtomicBool::new(false);
    let there = async {
        while let Some(bytes) = next(&mut from_client, &modes).await {
            if !asked.swap(true, Ordering::Relaxed) {
                round_trips.fetch_add(1, Ordering::Relaxed);
            }
            if to_server.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    let back = async {
        while let Some(bytes) = next(&mut from_server, &modes).await {
            asked.store(false, Ordering::Relaxed);
            let mode = *modes.borrow();
            if let Mode::Delay(delay) = mode {
                tokio::time::sleep(delay).await;
            }
            if mode == Mode::CutAfterRequest {
                // A server that loses its client halfway through an answer may undo the request.
                let quiet = Duration::from_millis(50);
                while let Ok(Some(_)) = timeout(quiet, next(&mut from_server, &modes)).await {}
                return;
            }
            if to_client.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    // Whichever ends takes the connection with it.
    tokio::select! {
        () = there => {}
        () = back => {}
        () = until(modes.clone(), |mode| mode == Mode::Refuse) => {}
    }
}

/// What comes next, unless that is the end. In a black hole nothing comes.
async fn next(from: &mut OwnedReadHalf, modes: &watch::Receiver<Mode>) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 64 * 1024];
    let length = from.read(&mut buffer).await.unwrap_or(0);
    until(modes.clone(), |mode| mode != Mode::BlackHole).await;
    buffer.truncate(length);
    (length > 0).then_some(buffer)
}

async fn until(mut modes: watch::Receiver<Mode>, wanted: fn(Mode) -> bool) {
    // It fails when the proxy is gone, and then its connections are to go as well.
    let _ = modes.wait_for(|mode| wanted(*mode)).await;
}
