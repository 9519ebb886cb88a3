//! A client that repeats its request until it has a final answer.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// What came back, over a connection of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) replayed: bool,
    /// Of the layer's own answers.
    pub(super) refusal: Option<String>,
    pub(super) retry_after: Option<u64>,
    pub(super) body: String,
}

impl Answer {
    /// Whether it is stored, so that everybody gets it from now on.
    pub(super) fn is_final(&self) -> bool {
        self.status == 200
    }

    pub(super) fn is(&self, status: u16, refusal: &str) -> bool {
        self.status == status && self.refusal.as_deref() == Some(refusal)
    }
}

/// One request: whose, under which key, and what for.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) tenant: String,
    pub(super) key: String,
    pub(super) body: String,
}

impl Order {
    pub(super) fn new(key: impl Into<String>) -> Self {
        let key = key.into();
        Self { tenant: "t".into(), body: format!("tea for {key}"), key }
    }

    /// Sends it once. An error: nobody knows what became of it.
    pub(super) async fn send(&self, to: SocketAddr) -> io::Result<Answer> {
        let mut connection = self.request(to).await?;
        let mut answer = Vec::new();
        let read = connection.read_to_end(&mut answer);
        timeout(Duration::from_secs(20), read).await.map_err(io::Error::other)??;
        read_answer(&answer).ok_or_else(|| io::Error::other("cut off"))
    }

    /// Sends it, and leaves.
    pub(super) async fn send_and_leave(&self, to: SocketAddr, after: Duration) -> io::Result<()> {
        let connection = self.request(to).await?;
        sleep(after).await;
        drop(connection);
        Ok(())
    }

    /// Repeats it, here and there, until the answer is final.
    pub(super) async fn until_final(&self, to: &[SocketAddr]) -> Answer {
        let until = Instant::now() + Duration::from_secs(20);
        for &to in to.iter().cycle() {
            let last = match self.send(to).await {
                Ok(answer) if answer.is_final() => return answer,
                other => other,
            };
            assert!(Instant::now() < until, "no final answer to {self:?}, but {last:?}");
            sleep(Duration::from_millis(30)).await;
        }
        unreachable!("there is an instance")
    }

    async fn request(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let Self { tenant, key, body } = self;
        let mut connection = TcpStream::connect(to).await?;
        let head = format!(
            "POST /orders HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\nx-tenant: {tenant}\r\n\
             idempotency-key: \"{key}\"\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        connection.write_all((head + body).as_bytes()).await?;
        Ok(connection)
    }
}

fn read_answer(bytes: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let header = |name: &str| {
        head.lines().filter_map(|line| line.split_once(": ")).find(|line| line.0 == name)
    };
    let value = |name: &str| header(name).map(|line| line.1.to_owned());
    let length: usize = value("content-length")?.parse().ok()?;
    (body.len() == length).then_some(())?;
    Some(Answer {
        status: head.split(' ').nth(1)?.parse().ok()?,
        replayed: value("idempotency-replayed").is_some(),
        refusal: value("buttress-refusal"),
        retry_after: value("retry-after").and_then(|seconds| seconds.parse().ok()),
        body: body.to_owned(),
    })
}
