//! What the table and the customers say after the run.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use serde_json::{Value, json};

use crate::orders::customers::Told;
use crate::orders::plan::Habit;
use crate::orders::table::Row;

/// The orders of one storefront. A cart is a key: each order has one, however often it is sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct OrderReport {
    pub(crate) customers: usize,
    /// Connections that were cut while the order was on its way.
    pub(crate) cuts: usize,
    /// Keys that reached a handler.
    pub(crate) begun: usize,
    /// Of these, keys without a row, with one, and with more.
    pub(crate) none: usize,
    pub(crate) once: usize,
    pub(crate) more: usize,
    /// Rows beyond the first of their key.
    pub(crate) duplicates: usize,
    /// Answers that say that they were given before.
    pub(crate) replays: usize,
    /// Customers who were told different things about the same order.
    pub(crate) differ: usize,
    /// Customers who came back, and were never told that their order is placed.
    pub(crate) unserved: usize,
}

impl OrderReport {
    pub(crate) fn new(begun: &BTreeSet<usize>, rows: &[Row], told: &[Told]) -> Self {
        let mut effects: BTreeMap<usize, usize> = begun.iter().map(|cart| (*cart, 0)).collect();
        for row in rows {
            *effects.entry(row.cart).or_default() += 1;
        }
        let keys = |wanted: fn(usize) -> bool| effects.values().filter(|n| wanted(**n)).count();
        let answers = || told.iter().flat_map(|customer| &customer.answers);
        Self {
            customers: told.len(),
            cuts: told.iter().map(|customer| customer.cuts).sum(),
            begun: effects.len(),
            none: keys(|rows| rows == 0),
            once: keys(|rows| rows == 1),
            more: keys(|rows| rows > 1),
            duplicates: effects.values().map(|rows| rows.saturating_sub(1)).sum(),
            replays: answers().filter(|answer| answer.replayed).count(),
            differ: told.iter().filter(|customer| differs(customer)).count(),
            unserved: told.iter().filter(|customer| is_unserved(customer)).count(),
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "customers": self.customers,
            "cut_connections": self.cuts,
            "keys_begun": self.begun,
            "keys_with_no_row": self.none,
            "keys_with_one_row": self.once,
            "keys_with_more_rows": self.more,
            "duplicate_rows": self.duplicates,
            "replayed_answers": self.replays,
            "customers_with_answers_that_differ": self.differ,
            "customers_unserved": self.unserved,
        })
    }
}

fn differs(customer: &Told) -> bool {
    let said = |index: usize| {
        customer.answers.get(index).map(|answer| (answer.status, answer.body.clone()))
    };
    said(1).is_some() && said(0) != said(1)
}

fn is_unserved(customer: &Told) -> bool {
    let is_placed = customer.answers.iter().any(|answer| answer.status == StatusCode::CREATED);
    customer.habit != Habit::Leaves && !is_placed
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::orders::customers::Answer;

    fn told(habit: Habit, answers: &[(u16, &'static str)]) -> Told {
        let answers = answers.iter().map(|(status, body)| Answer {
            status: StatusCode::from_u16(*status).unwrap(),
            body: Bytes::from_static(body.as_bytes()),
            replayed: body.starts_with("again"),
        });
        Told { habit, cuts: 1, answers: answers.collect() }
    }

    #[test]
    fn effects_are_counted_by_key_and_answers_by_customer() {
        let row = |cart| Row { cart, at: Duration::ZERO };
        let begun = BTreeSet::from([0, 1, 2, 3]);
        let customers = [
            told(Habit::Persists, &[(201, "one")]),
            told(Habit::Reloads, &[(201, "again one"), (201, "again two")]),
            told(Habit::Reloads, &[(201, "one"), (201, "one")]),
            told(Habit::Persists, &[(503, "none")]),
            told(Habit::Persists, &[]),
            told(Habit::Leaves, &[]),
        ];
        let report = OrderReport::new(&begun, &[0, 1, 1, 1, 2].map(row), &customers);
        let wanted = OrderReport {
            customers: 6,
            cuts: 6,
            begun: 4,
            none: 1,
            once: 2,
            more: 1,
            duplicates: 2,
            replays: 2,
            differ: 1,
            unserved: 2,
        };
        assert_eq!(report, wanted);
        assert_eq!(report.to_json()["keys_with_more_rows"], 1);
        // The table alone counts too: nobody can hide a row by not telling that it began.
        assert_eq!(OrderReport::new(&BTreeSet::new(), &[row(7)], &[]).begun, 1);
    }
}
