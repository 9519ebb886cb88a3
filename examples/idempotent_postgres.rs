//! An order and its answer in one transaction: exactly once, even if the server crashes.
//!
//! The idempotency records are in the database of the orders, and the handler keeps its answer in
//! the transaction that writes the order. So there are both or neither, wherever it crashes. The
//! example starts PostgreSQL and a process with the orders' server, and has that crash before the
//! commit of an order and after that of another one. Each time it starts the server again, and
//! sends the order again with the same key.
//!
//! ```text
//! cargo run --example idempotent_postgres --features axum,postgres
//! ```
//!
//! With `DATABASE_URL` it uses that server, and leaves there the tables `example_orders` and
//! `idempotency_records`.

#[path = "support/servers.rs"]
#[allow(dead_code, reason = "there are other kinds of servers in it")]
mod servers;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{env, process};

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse;
use axum::{Router, routing::post};
use buttress::idempotency::{AlreadyRecorded, Context, IdempotencyKey, IdempotencyLayer};
use buttress::idempotency::{KeyLayer, PostgresStore};
use bytes::Bytes;
use deadpool_postgres::{Manager, Pool};
use http_body_util::BodyExt;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::net::TcpListener;
use tokio_postgres::NoTls;
use tower::{ServiceBuilder, ServiceExt};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

const RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

async fn place(
    State(pool): State<Pool>,
    context: Context,
    order: String,
) -> Result<Response<Body>, Failed> {
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    let insert = "INSERT INTO example_orders (what) VALUES ($1) RETURNING id";
    let id: i64 = transaction.query_one(insert, &[&order]).await?.try_get("id")?;
    let said = Bytes::from(format!("order {id}: {order} (execution {})", context.attempt()));
    let mut answer = Response::builder().status(StatusCode::CREATED).body(said)?;
    // Where somebody else has taken over, this fails, and the order is rolled back.
    context.complete_in(&transaction, &answer, RETENTION).await?;
    crash_if(order.contains("crash before") && !context.is_takeover());
    transaction.commit().await?;
    crash_if(order.contains("crash after"));
    // The layer has nothing left to keep.
    answer.extensions_mut().insert(AlreadyRecorded);
    Ok(answer.map(Body::from))
}

fn crash_if(wanted: bool) {
    if wanted {
        println!("    the server dies");
        process::abort();
    }
}

/// Whatever went wrong: the transaction is rolled back, and the key released.
struct Failed(BoxError);

impl<E: Into<BoxError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> axum::response::Response {
        eprintln!("    the order fails: {}", self.0);
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

fn database(url: &str) -> Result<Pool, BoxError> {
    Ok(Pool::builder(Manager::new(url.parse()?, NoTls)).build()?)
}

/// The orders' server: says where it is, and runs until it crashes or is killed.
async fn serve(url: &str) -> Result<(), BoxError> {
    let pool = database(url)?;
    let keys = IdempotencyLayer::builder(PostgresStore::from_pool(pool.clone()))
        .name("orders")
        .unscoped()
        .require_key(true)
        .retention(RETENTION)
        // So that the example need not wait for long until the claim of a dead server lapses.
        .store_timeout(Duration::from_millis(300))
        .lease(Duration::from_secs(1))
        .build();
    let app = Router::new().route("/orders", post(place)).with_state(pool).layer(keys);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    if let [_, command, url] = &env::args().collect::<Vec<_>>()[..]
        && command == "serve"
    {
        return serve(url).await;
    }
    let given = env::var("DATABASE_URL").ok();
    let server = if given.is_none() { Some(servers::Server::postgres()?) } else { None };
    let url = given.or(server.as_ref().map(|server| server.url().to_owned())).unwrap_or_default();
    let pool = database(&url)?;
    let client = pool.get().await?;
    client.batch_execute("DROP TABLE IF EXISTS example_orders").await?;
    let table = "CREATE TABLE example_orders \
                 (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text NOT NULL)";
    client.batch_execute(table).await?;
    PostgresStore::from_pool(pool.clone()).migrate().await?;

    println!("an order, sent twice");
    let mut shop = Shop::start(&url)?;
    place_order(&mut shop, "tea", 2).await?;
    println!("an order whose server crashes before the commit: neither order nor answer is there");
    place_order(&mut shop, "tea for the crash before", 1).await?;
    println!("an order whose server crashes after the commit: both are there");
    place_order(&mut shop, "tea for the crash after", 1).await?;

    println!("the table");
    let orders = "SELECT what, count(*) FROM example_orders GROUP BY what ORDER BY min(id)";
    for row in client.query(orders, &[]).await? {
        let (what, rows): (&str, i64) = (row.try_get("what")?, row.try_get("count")?);
        println!("  {what}: {rows} row(s)");
    }
    Ok(())
}

/// Sends an order with the same key until it has this many answers.
async fn place_order(shop: &mut Shop, what: &'static str, answers: u32) -> Result<(), BoxError> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let client = ServiceBuilder::new().layer(KeyLayer::new()).service(client);
    #[allow(clippy::disallowed_methods, reason = "for a name like no other, and not to compare")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let key = IdempotencyKey::new(format!("order-{}", now.as_nanos()))?;
    let (mut wanted, mut has_died) = (answers, false);
    while wanted > 0 {
        let request = Request::post(format!("http://{}/orders", shop.address))
            .extension(key.clone())
            .body(Body::from(what))?;
        match client.clone().oneshot(request).await {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let said = String::from_utf8(body.collect().await?.to_bytes().to_vec())?;
                let replayed = head.headers.contains_key("idempotency-replayed");
                match head.headers.get("buttress-refusal") {
                    Some(code) => println!("  {}: {code:?}", head.status),
                    None => println!("  {}: {said}, replayed: {replayed}", head.status),
                }
                if head.status.is_success() {
                    wanted -= 1;
                } else {
                    // The claim of the dead server has not lapsed yet.
                    tokio::time::sleep(Duration::from_millis(700)).await;
                }
            }
            // It dies once of each order, if at all: a second time is no part of the example.
            Err(error) if has_died => return Err(error.into()),
            Err(error) => {
                println!("  no answer: {error}");
                has_died = true;
                shop.restart()?;
            }
        }
    }
    Ok(())
}

/// A process with the orders' server.
struct Shop {
    url: String,
    process: Child,
    address: String,
}

impl Shop {
    fn start(url: &str) -> Result<Self, BoxError> {
        let mut process = Command::new(env::current_exe()?)
            .args(["serve", url])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut address = String::new();
        let mut output = BufReader::new(process.stdout.take().ok_or("no output")?);
        output.read_line(&mut address)?;
        // What else it says is for the reader of the example.
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = writeln!(std::io::stdout(), "{line}");
            }
        });
        Ok(Self { url: url.to_owned(), process, address: address.trim().to_owned() })
    }

    fn restart(&mut self) -> Result<(), BoxError> {
        *self = Self::start(&self.url.clone())?;
        Ok(())
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        // It may have died before.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
