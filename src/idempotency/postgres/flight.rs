//! A transaction in one round trip: everything is sent before the first answer is waited for.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use deadpool_postgres::{Client, Object};
use tokio_postgres::{Error, Row, Statement};

use super::statements::Query;

/// A connection out of the pool. If it is dropped while answers are outstanding it does not go
/// back: whoever took it next would wait for them.
pub(super) struct Lent(Option<Client>);

impl Lent {
    pub(super) fn new(client: Client) -> Self {
        Self(Some(client))
    }

    /// Runs the queries in a transaction of their own, and gives the connection back.
    ///
    /// The isolation level is set for the transaction alone, so that a pooler may switch servers
    /// after it: under a stricter default, most claims that meet another one would fail.
    pub(super) async fn transact(
        self,
        (first, second): (Query<'_>, Option<Query<'_>>),
        cached: bool,
        lock_timeout: Duration,
    ) -> Result<(Vec<Row>, Vec<Row>), Error> {
        let answer = flight(self.client(), first, second, cached, lock_timeout).await;
        self.give_back();
        answer
    }

    /// Runs statements as they are, and gives the connection back.
    pub(super) async fn batch(self, statements: &str) -> Result<(), Error> {
        let answer = self.client().batch_execute(statements).await;
        self.give_back();
        answer
    }

    fn client(&self) -> &Client {
        self.0.as_ref().expect("until it is given back")
    }

    fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop(Object::take(client));
        }
    }
}

async fn flight(
    client: &Client,
    first: Query<'_>,
    second: Option<Query<'_>>,
    cached: bool,
    lock_timeout: Duration,
) -> Result<(Vec<Row>, Vec<Row>), Error> {
    let first = Ready::new(client, Some(first), cached).await?;
    let second = Ready::new(client, second, cached).await?;
    let lock_timeout = lock_timeout.as_millis().clamp(1, i32::MAX as u128);
    let begin =
        format!("BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = {lock_timeout}");
    // Boxed: eight kilobytes each, which would be moved with every future around them.
    let work = both(Box::pin(first.rows(client)), Box::pin(second.rows(client)));
    let (opened, (work, committed)) =
        both(client.batch_execute(&begin), both(work, client.batch_execute("COMMIT"))).await;
    opened?;
    let (first, second) = (work.0?, work.1?);
    committed?;
    Ok((first, second))
}

/// A query that needs no further round trip before it can be run.
struct Ready<'a>(Option<(Query<'a>, Option<Statement>)>);

impl<'a> Ready<'a> {
    /// Asks the server once for each connection where statements are cached, else never.
    async fn new(client: &Client, query: Option<Query<'a>>, cached: bool) -> Result<Self, Error> {
        let Some(query) = query else { return Ok(Self(None)) };
        if !cached {
            return Ok(Self(Some((query, None))));
        }
        let types: Vec<_> = query.parameters.iter().map(|(_, kind)| kind.clone()).collect();
        let statement = client.prepare_typed_cached(query.sql, &types).await?;
        Ok(Self(Some((query, Some(statement)))))
    }

    async fn rows(&self, client: &Client) -> Result<Vec<Row>, Error> {
        match &self.0 {
            None => Ok(Vec::new()),
            Some((query, None)) => client.query_typed(query.sql, query.parameters).await,
            Some((query, Some(statement))) => {
                let values: Vec<_> = query.parameters.iter().map(|(value, _)| *value).collect();
                client.query(statement, &values).await
            }
        }
    }
}

/// Both at once. What they send goes out in this order, since each is polled in this order.
async fn both<A: Future, B: Future>(first: A, second: B) -> (A::Output, B::Output) {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut one, mut other) = (None, None);
    poll_fn(|context| {
        if one.is_none()
            && let Poll::Ready(output) = first.as_mut().poll(context)
        {
            one = Some(output);
        }
        if other.is_none()
            && let Poll::Ready(output) = second.as_mut().poll(context)
        {
            other = Some(output);
        }
        match (one.take(), other.take()) {
            (Some(first), Some(second)) => Poll::Ready((first, second)),
            (first, second) => {
                (one, other) = (first, second);
                Poll::Pending
            }
        }
    })
    .await
}
