//! The client: hyper, over connections that are kept.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures::future::try_join_all;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tower::BoxError;

/// How often a connection of a paced run sends: eight make 4,000 requests a second.
const PACE: Duration = Duration::from_millis(2);

#[derive(Debug)]
pub(crate) struct Client {
    connections: Vec<Connection>,
}

#[derive(Debug)]
struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    path: &'static str,
}

impl Client {
    pub(crate) async fn connect(
        address: SocketAddr,
        path: &'static str,
        count: usize,
    ) -> Result<Self, BoxError> {
        let connections = (0..count).map(|_| Connection::open(address, path));
        let connections = try_join_all(connections).await?;
        Ok(Self { connections })
    }

    /// One request after the other on every connection. How many there were.
    pub(crate) async fn saturate(&mut self, length: Duration) -> Result<u32, BoxError> {
        let end = Instant::now() + length;
        let runs = self.connections.iter_mut().map(|connection| async move {
            let mut done = 0;
            while Instant::now() < end {
                connection.ask().await?;
                done += 1;
            }
            Ok::<u32, BoxError>(done)
        });
        Ok(try_join_all(runs).await?.into_iter().sum())
    }

    /// A request at fixed times on every connection. How long each took.
    pub(crate) async fn pace(&mut self, length: Duration) -> Result<Vec<Duration>, BoxError> {
        let start = Instant::now() + PACE;
        let runs = (0_u32..).zip(&mut self.connections).map(|(index, connection)| async move {
            // Half of them are due in between.
            let mut ticks = interval_at(start + PACE / 2 * (index % 2), PACE);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let (mut latencies, mut free) = (Vec::new(), start);
            loop {
                let due = ticks.tick().await;
                if due >= start + length {
                    return Ok::<_, BoxError>(latencies);
                }
                // A request that had to wait for the one before it counts from when it was due.
                // For a timer that was late the server is not to blame.
                let from = if free > due { due } else { Instant::now() };
                connection.ask().await?;
                free = Instant::now();
                latencies.push(free - from);
            }
        });
        Ok(try_join_all(runs).await?.concat())
    }
}

impl Connection {
    async fn open(address: SocketAddr, path: &'static str) -> Result<Self, BoxError> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, path })
    }

    async fn ask(&mut self) -> Result<(), BoxError> {
        self.sender.ready().await?;
        let request = Request::post(self.path).header("host", "localhost").body(Empty::new())?;
        let answer = self.sender.send_request(request).await?;
        if !answer.status().is_success() {
            return Err(format!("answer {}", answer.status()).into());
        }
        answer.into_body().collect().await?;
        Ok(())
    }
}
