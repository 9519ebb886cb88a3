//! What the protected storefront promises of its orders.

use crate::check::Promise;
use crate::orders::report::OrderReport;

/// Judges what came of the orders of both storefronts.
pub(crate) fn promises(naked: &OrderReport, protected: &OrderReport) -> [Promise; 4] {
    [exactly_once(protected), twice(naked), one_answer(protected), two_answers(naked)]
}

fn exactly_once(protected: &OrderReport) -> Promise {
    let OrderReport { customers, begun, none, once, more, unserved, .. } = *protected;
    Promise {
        text: "an order that has begun is in the table once, and who came back was told",
        // A customer who leaves within the first milliseconds may be gone before it begins.
        kept: once == begun && none + more + unserved == 0 && begun * 10 >= customers * 9,
        found: format!("{once} of {begun}, {unserved} were not told"),
    }
}

/// Without this and the last one the others would prove nothing.
fn twice(naked: &OrderReport) -> Promise {
    Promise {
        text: "... which in the naked storefront some are not",
        kept: naked.more > 0,
        found: format!("{} more than once, {} not at all", naked.more, naked.none),
    }
}

fn one_answer(protected: &OrderReport) -> Promise {
    let OrderReport { replays, differ, .. } = *protected;
    Promise {
        text: "who sends an order again gets the same answer again",
        kept: replays > 0 && differ == 0,
        found: format!("{replays} were given before, {differ} customers got two that differ"),
    }
}

fn two_answers(naked: &OrderReport) -> Promise {
    Promise {
        text: "... and from the naked storefront another one",
        kept: naked.differ > 0,
        found: format!("{} customers", naked.differ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_promise_can_be_broken_and_is_broken_alone() {
        let good = OrderReport {
            customers: 100,
            begun: 90,
            once: 90,
            replays: 1,
            ..OrderReport::default()
        };
        let bad = OrderReport { more: 1, differ: 1, ..good.clone() };
        let broken = |naked: &OrderReport, protected: OrderReport| -> Vec<usize> {
            let kept = promises(naked, &protected).map(|promise| promise.kept);
            (0..).zip(kept).filter(|(_, kept)| !kept).map(|(index, _)| index).collect()
        };
        assert_eq!(broken(&bad, good.clone()), [0; 0]);
        let worse: [fn(&mut OrderReport); 5] = [
            |orders| orders.more = 1,
            |orders| orders.none = 1,
            |orders| orders.unserved = 1,
            |orders| orders.once = 89,
            |orders| orders.customers = 101,
        ];
        for change in worse {
            let mut protected = good.clone();
            change(&mut protected);
            assert_eq!(broken(&bad, protected), [0]);
        }
        assert_eq!(broken(&OrderReport { more: 0, ..bad.clone() }, good.clone()), [1]);
        assert_eq!(broken(&bad, OrderReport { replays: 0, ..good.clone() }), [2]);
        assert_eq!(broken(&bad, OrderReport { differ: 1, ..good.clone() }), [2]);
        assert_eq!(broken(&OrderReport { differ: 0, ..bad }, good), [3]);
    }
}
