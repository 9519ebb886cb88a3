//! Real servers: one of each kind for the whole process, and as many as a test wants to torment.
//!
//! `IDEM_REDIS_URL` and `IDEM_PG_URL` name servers to use for the shared ones instead.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::{env, fs, process};

/// The shared Redis server.
pub(crate) fn redis() -> String {
    static SHARED: OnceLock<Server> = OnceLock::new();
    shared("IDEM_REDIS_URL", &SHARED, || Server::redis(&[]))
}

/// The shared PostgreSQL server.
pub(crate) fn postgres() -> String {
    static SHARED: OnceLock<Server> = OnceLock::new();
    shared("IDEM_PG_URL", &SHARED, || Server::postgres(&[]))
}

fn shared(variable: &str, server: &OnceLock<Server>, start: fn() -> Server) -> String {
    env::var(variable).unwrap_or_else(|_| server.get_or_init(start).url())
}

/// A name like no other on the shared servers: for a prefix, or for a schema.
pub(crate) fn unique(of: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{of}_{}_{count}", process::id())
}

/// The URL of a schema of its own, made for one test on this PostgreSQL server.
pub(crate) async fn schema(server: &str) -> String {
    let name = unique("test");
    sql(server, &format!("CREATE SCHEMA {name}")).await;
    let separator = if server.contains('?') { '&' } else { '?' };
    format!("{server}{separator}options=-csearch_path%3D{name}")
}

/// Runs statements over a connection of their own, and hands back the first column of each row.
pub(crate) async fn sql(url: &str, statements: &str) -> Vec<String> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let answers = client.simple_query(statements).await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
    let rows = answers.iter().filter_map(|answer| match answer {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    rows.collect()
}

/// A server on a free port of the loopback interface, with a folder of its own. Both are gone once
/// it is dropped, or this process is.
#[derive(Debug)]
pub(crate) struct Server {
    keeper: Mutex<Keeper>,
    scheme: &'static str,
    address: SocketAddr,
}

#[derive(Debug)]
struct Keeper {
    process: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Server {
    /// A Redis server with further arguments.
    pub(crate) fn redis(arguments: &[&str]) -> Self {
        let (server, cli) = (binary("redis-server"), binary("redis-cli"));
        let address = free_address();
        let port = address.port();
        let start = format!(
            "exec {server} --bind 127.0.0.1 --port {port} --save '' --appendonly no --dir \"$dir\" {}",
            arguments.join(" ")
        );
        let ready = format!("{cli} -p {port} ping | grep -Eq 'PONG|NOAUTH'");
        Self::start_with("redis://", address, "true", &start, &ready)
    }

    /// A PostgreSQL server with further settings, as `name=value`.
    pub(crate) fn postgres(settings: &[&str]) -> Self {
        let [initdb, postgres, is_ready] = ["initdb", "postgres", "pg_isready"].map(binary);
        let address = free_address();
        let port = address.port();
        let prepare = format!("{initdb} -D \"$dir/data\" -U postgres -A trust -E UTF8 --no-sync");
        let settings: Vec<String> =
            settings.iter().map(|setting| format!("-c {setting}")).collect();
        let settings = settings.join(" ");
        let start = format!(
            "exec {postgres} -D \"$dir/data\" -p {port} -c listen_addresses=127.0.0.1 \
             -c unix_socket_directories= -c fsync=off -c max_connections=300 {settings}"
        );
        let ready = format!("{is_ready} -h 127.0.0.1 -p {port}");
        Self::start_with("postgres://postgres@", address, &prepare, &start, &ready)
    }

    fn start_with(
        scheme: &'static str,
        address: SocketAddr,
        prepare: &str,
        start: &str,
        ready: &str,
    ) -> Self {
        let script = include_str!("server.sh");
        let mut command = Command::new("sh");
        // PostgreSQL refuses to run as root.
        if fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) && prepare != "true" {
            command = Command::new("runuser");
            command.args(["-u", "postgres", "--", "sh"]);
        }
        command.args(["-c", script]).current_dir("/");
        command.envs([("PREPARE", prepare), ("START", start), ("READY", ready)]);
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = pipes.spawn().expect("a shell to start the server from");
        let orders = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut keeper = Keeper { process, orders, answers };
        keeper.expect("ready");
        Self { keeper: Mutex::new(keeper), scheme, address }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        self.url_at(self.address)
    }

    /// The URL to reach it through something else, such as a proxy.
    pub(crate) fn url_at(&self, address: SocketAddr) -> String {
        format!("{}{address}/{}", self.scheme, self.database())
    }

    fn database(&self) -> &'static str {
        if self.scheme == "redis://" { "" } else { "postgres" }
    }

    /// Kills it, as a crash would. Its folder stays.
    pub(crate) fn kill(&self) {
        self.order("kill");
    }

    /// Starts it again after [`kill`](Self::kill), on the same port.
    pub(crate) fn start(&self) {
        self.order("start");
    }

    /// Stops every process of it in its tracks (`SIGSTOP`).
    pub(crate) fn stop(&self) {
        self.order("stop");
    }

    /// Lets it run on.
    pub(crate) fn resume(&self) {
        self.order("resume");
    }

    fn order(&self, order: &str) {
        let mut keeper = self.keeper.lock().unwrap();
        writeln!(keeper.orders.as_mut().expect("open until it is dropped"), "{order}").unwrap();
        keeper.expect("done");
    }
}

impl Keeper {
    #[track_caller]
    fn expect(&mut self, wanted: &str) {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("a line from the shell");
        assert_eq!(line.trim(), wanted, "the server failed: see above");
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.process.wait();
    }
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address")
}

/// From the path, or from where Debian keeps PostgreSQL's, the newest first.
fn binary(name: &str) -> String {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    versions.sort();
    folders.extend(versions.into_iter().rev());
    let found = folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file());
    let missing = "is not installed: apt-get install redis-server postgresql";
    found.unwrap_or_else(|| panic!("{name} {missing}")).display().to_string()
}
