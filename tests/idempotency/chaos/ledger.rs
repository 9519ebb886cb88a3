//! Where handlers note what they do: outside of what is tormented, so that it can be counted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};
use tokio_postgres::{Error, GenericClient};

use crate::support::servers;

/// One line of the ledger: what an execution did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) what: What,
    pub(super) key: String,
    pub(super) attempt: u32,
    pub(super) fence: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The handler was entered.
    Started,
    /// It had its effect.
    Effect,
}

#[derive(Clone)]
pub(super) enum Ledger {
    /// Of one process.
    Memory(Arc<Mutex<Vec<Note>>>),
    /// Rows of a scratch table in PostgreSQL, at this URL.
    Table(Arc<tokio_postgres::Client>, String),
    /// A list in Redis, at this URL and under this key.
    List(MultiplexedConnection, String, String),
}

const TABLE: &str = "CREATE TABLE IF NOT EXISTS notes (line bigserial, what text NOT NULL, \
                     key text NOT NULL, attempt bigint NOT NULL, fence bigint NOT NULL)";
const INSERT: &str = "INSERT INTO notes (what, key, attempt, fence) \
                                 VALUES ($1, $2, $3, $4)";

impl Ledger {
    pub(super) fn in_memory() -> Self {
        Self::Memory(Arc::default())
    }

    /// A table of its own on the shared server.
    pub(super) async fn table() -> Self {
        Self::table_at(&servers::schema(&servers::postgres()).await).await
    }

    /// A table next to the records that are there.
    pub(super) async fn table_at(url: &str) -> Self {
        servers::sql(url, TABLE).await;
        Self::open(&json!({ "table": url })).await
    }

    /// A list of its own on the shared server.
    pub(super) async fn list() -> Self {
        let of = json!({ "list": servers::redis(), "key": servers::unique("notes") });
        Self::open(&of).await
    }

    /// What [`address`](Self::address) says, in another process.
    pub(super) async fn open(address: &Value) -> Self {
        let text = |name: &str| address[name].as_str().unwrap().to_owned();
        if address.get("table").is_some() {
            let url = text("table");
            let (client, connection) =
                tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
            tokio::spawn(connection);
            return Self::Table(Arc::new(client), url);
        }
        let client = redis::Client::open(text("list")).unwrap();
        let connection = client.get_multiplexed_async_connection().await.unwrap();
        Self::List(connection, text("list"), text("key"))
    }

    pub(super) fn address(&self) -> Value {
        match self {
            Self::Memory(_) => panic!("only this process has it"),
            Self::Table(_, url) => json!({ "table": url }),
            Self::List(_, url, key) => json!({ "list": url, "key": key }),
        }
    }

    /// Adds a line, which is there whatever happens afterwards.
    pub(super) async fn note(&self, note: Note) {
        match self {
            Self::Memory(notes) => notes.lock().unwrap().push(note),
            Self::Table(client, _) => note.insert(&**client).await.unwrap(),
            Self::List(connection, _, key) => {
                let line = [note.what.name(), &note.key].join(" ");
                let line = format!("{line} {} {}", note.attempt, note.fence);
                let mut connection = connection.clone();
                connection.rpush::<_, _, ()>(key, line).await.unwrap();
            }
        }
    }

    /// Everything, in the order in which it was written.
    pub(super) async fn notes(&self) -> Vec<Note> {
        let lines: Vec<String> = match self {
            Self::Memory(notes) => return notes.lock().unwrap().clone(),
            Self::Table(_, url) => {
                let all = "SELECT what || ' ' || key || ' ' || attempt || ' ' || fence \
                           FROM notes ORDER BY line";
                servers::sql(url, all).await
            }
            Self::List(connection, _, key) => connection.clone().lrange(key, 0, -1).await.unwrap(),
        };
        lines.iter().map(|line| Note::read(line)).collect()
    }

    pub(super) async fn tally(&self) -> BTreeMap<String, Tally> {
        Tally::of(&self.notes().await)
    }
}

/// What was done under one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) executions: usize,
    /// Executions in place of one whose lease had lapsed.
    pub(super) takeovers: usize,
    pub(super) effects: usize,
}

impl Tally {
    pub(super) fn of(notes: &[Note]) -> BTreeMap<String, Self> {
        let mut tallies = BTreeMap::<_, Self>::new();
        for note in notes {
            let tally = tallies.entry(note.key.clone()).or_default();
            match note.what {
                What::Started => {
                    tally.executions += 1;
                    tally.takeovers += usize::from(note.attempt > 1);
                }
                What::Effect => tally.effects += 1,
            }
        }
        tallies
    }

    pub(super) fn sum<'a>(tallies: impl IntoIterator<Item = &'a Self>) -> Self {
        tallies.into_iter().fold(Self::default(), |sum, one| Self {
            executions: sum.executions + one.executions,
            takeovers: sum.takeovers + one.takeovers,
            effects: sum.effects + one.effects,
        })
    }

    pub(super) fn is_explained(&self) -> bool {
        self.effects <= 1 + self.takeovers
    }
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Effect => "effect",
        }
    }
}

impl Note {
    /// Adds it by this connection, or in this transaction.
    pub(super) async fn insert(&self, to: &impl GenericClient) -> Result<(), Error> {
        let (what, attempt, fence) =
            (self.what.name(), i64::from(self.attempt), self.fence.cast_signed());
        to.execute(INSERT, &[&what, &self.key, &attempt, &fence]).await.map(drop)
    }

    fn read(line: &str) -> Self {
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap();
        let what = if word() == "effect" { What::Effect } else { What::Started };
        let key = word().to_owned();
        Self { what, key, attempt: word().parse().unwrap(), fence: word().parse().unwrap() }
    }
}
