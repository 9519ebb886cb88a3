//! Temporary servers: Redis and PostgreSQL, for as long as an example runs.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

const SCRIPT: &str = include_str!("server.sh");

/// A server on a free port of the loopback interface, with a folder of its own. Both are gone once
/// this is dropped, or the process has ended in whatever way.
#[derive(Debug)]
pub(crate) struct Server {
    url: String,
    keeper: Child,
}

impl Server {
    /// # Errors
    ///
    /// What to install, where Redis is not; or what the server said when it did not start.
    pub(crate) fn redis() -> Result<Self, BoxError> {
        Self::start("redis", |address| format!("redis://{address}/"))
    }

    /// # Errors
    ///
    /// What to install, where PostgreSQL is not; or what the server said when it did not start.
    pub(crate) fn postgres() -> Result<Self, BoxError> {
        Self::start("postgres", |address| format!("postgres://postgres@{address}/postgres"))
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn start(kind: &str, url: impl Fn(SocketAddr) -> String) -> Result<Self, BoxError> {
        let address = free_address()?;
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT, "server", kind, &address.port().to_string()]);
        // A folder that the server's user may enter, too.
        shell.env("SCRIPT", SCRIPT).current_dir("/");
        let keeper = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut server = Self { url: url(address), keeper };
        let mut said = String::new();
        if let Some(output) = server.keeper.stdout.take() {
            BufReader::new(output).read_line(&mut said)?;
        }
        match said.trim() {
            "ready" => Ok(server),
            "" => Err(format!("{kind} did not start").into()),
            wrong => Err(wrong.into()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Closes its standard input, which is what it waits for.
        let _ = self.keeper.wait();
    }
}

fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
