//! `http::ReplayBody`: what is kept, for whom, and for how long.

mod fixture;
mod foreign;
mod keeping;
mod model;
mod model_tests;
mod threads;
