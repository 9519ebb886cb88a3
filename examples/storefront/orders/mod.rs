//! The orders: customers who lose their connections, and what is in the table after that.

pub(crate) mod check;
pub(crate) mod customers;
pub(crate) mod desk;
pub(crate) mod plan;
pub(crate) mod report;
pub(crate) mod stores;
pub(crate) mod table;
