//! An instance in a process of its own: this test binary, run again.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;
use std::{env, io, process, thread};

use serde_json::{Value, json};

use super::app::{App, Guard, Instance, Plan, Times};
use super::ledger::Ledger;
use super::place::Place;
use super::watched::{Crash, Point, Watched};

/// Says what the process is to be, when it is not to test.
const ROLE: &str = "BUTTRESS_CHAOS_INSTANCE";
const LISTENING: &str = "listening on ";

/// What an instance is made of.
#[derive(Clone)]
pub(super) struct Setup {
    pub(super) place: Place,
    pub(super) ledger: Ledger,
    pub(super) plan: Plan,
    pub(super) times: Times,
}

impl Setup {
    /// In this process.
    pub(super) async fn here(&self) -> Instance {
        self.watched(|store| store).await
    }

    pub(super) async fn watched(&self, watch: impl FnOnce(Watched) -> Watched) -> Instance {
        let store = self.place.open(self.times.store_timeout).await;
        let app = App::new(self.ledger.clone(), self.plan);
        Instance::start(watch(Watched::new(store)), app, self.times).await
    }

    /// In a process of its own, which crashes as it is told to.
    pub(super) fn elsewhere(&self, crash: Option<(Point, usize)>) -> Process {
        let role = self.to_json(crash).to_string();
        let mut command = Command::new(env::current_exe().expect("this binary"));
        command.args(["--exact", "chaos::child::an_instance_in_a_process_of_its_own"]);
        command.args(["--nocapture", "--test-threads", "1"]).env(ROLE, role);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("this binary runs");
        let stdin = process.stdin.take();
        let mut lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let address = lines.find_map(|line| {
            let line = line.expect("a line of the child");
            line.split_once(LISTENING).map(|at| at.1.parse().expect("an address"))
        });
        Process { address: address.expect("the child listens"), running: process, _stdin: stdin }
    }

    fn to_json(&self, crash: Option<(Point, usize)>) -> Value {
        let Plan { before, after, guard, flaky } = self.plan;
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap();
        json!({
            "place": self.place.to_json(),
            "ledger": self.ledger.address(),
            "before": millis(before),
            "after": millis(after),
            "guard": format!("{guard:?}"),
            "flaky": flaky,
            "lease": millis(self.times.lease),
            "store_timeout": millis(self.times.store_timeout),
            "crash_at": crash.map(|crash| crash.0.name()),
            "passes": crash.map(|crash| crash.1),
        })
    }

    async fn from_json(of: &Value) -> (Self, Crash) {
        let millis = |name: &str| Duration::from_millis(of[name].as_u64().unwrap());
        let guard = match of["guard"].as_str().unwrap() {
            "None" => Guard::None,
            "Check" => Guard::Check,
            "BeginEffects" => Guard::BeginEffects,
            _ => Guard::Transaction,
        };
        let crash = of["crash_at"].as_str().map_or(Crash::never(), |point| {
            let passes = of["passes"].as_u64().unwrap();
            Crash::at(Point::from_name(point), usize::try_from(passes).unwrap())
        });
        let flaky = of["flaky"].as_bool().unwrap();
        let setup = Self {
            place: Place::from_json(&of["place"]),
            ledger: Ledger::open(&of["ledger"]).await,
            plan: Plan { before: millis("before"), after: millis("after"), guard, flaky },
            times: Times { lease: millis("lease"), store_timeout: millis("store_timeout") },
        };
        (setup, crash)
    }
}

/// Killed once it is dropped; gone as well if this process is.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) address: SocketAddr,
    running: Child,
    _stdin: Option<ChildStdin>,
}

impl Process {
    /// Stops it in its tracks.
    pub(super) fn stop(&self) {
        self.signal("STOP");
    }

    pub(super) fn resume(&self) {
        self.signal("CONT");
    }

    pub(super) fn kill(&mut self) {
        self.running.kill().expect("it runs");
        self.running.wait().expect("it has ended");
    }

    /// Whether it ends by itself, soon.
    pub(super) async fn ends(&mut self) -> bool {
        for _ in 0..500 {
            if self.running.try_wait().expect("a child").is_some() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }

    fn signal(&self, signal: &str) {
        let signal = format!("-{signal}");
        let sent = Command::new("kill").args([signal, self.running.id().to_string()]).status();
        assert!(sent.expect("a kill command").success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Of no effect on one that has ended.
        let _ = self.running.kill();
        let _ = self.running.wait();
    }
}

/// Not a test: the place where the child starts. Without its role it has nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_in_a_process_of_its_own() {
    let Ok(role) = env::var(ROLE) else { return };
    // Its parent keeps this open for as long as it lives.
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        process::exit(0);
    });
    let (setup, crash) = Setup::from_json(&serde_json::from_str(&role).unwrap()).await;
    let store = setup.place.open(setup.times.store_timeout).await;
    let app = App::new(setup.ledger, setup.plan).crashing(crash);
    let instance = Instance::start(Watched::new(store), app, setup.times).await;
    println!("\n{LISTENING}{}", instance.address);
    std::future::pending::<()>().await;
}
