//! What callers are told of a rate limit: [`RateLimitHeadersLayer`] and what it makes.

mod future;
mod layer;
mod service;

pub use future::RateLimitHeadersFuture;
pub use layer::RateLimitHeadersLayer;
pub use service::RateLimitHeaders;
