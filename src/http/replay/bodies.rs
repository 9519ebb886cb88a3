//! [`Replay`]: the bodies that can be sent again.

use bytes::Bytes;
use http_body_util::{Empty, Full};

use crate::http::ReplayBody;

/// A request body of which a further copy can be sent: what [`RetryPolicy`](crate::http::RetryPolicy)
/// asks of a request.
///
/// Implemented for [`ReplayBody`], which serves every body that streams, and for bodies that are
/// in memory as a whole: `()`, strings, `Bytes`, `Vec<u8>`, and `http_body_util`'s `Full` and
/// `Empty`.
#[diagnostic::on_unimplemented(
    message = "the request body `{Self}` cannot be sent a second time",
    label = "`{Self}` is gone once it has been sent",
    note = "keep what it streams: put `.map_request(|request: http::Request<_>| request.map(buttress::http::ReplayBody::new))` above the layer, or `.map_request(buttress::http::ReplayBody::wrap)` for short"
)]
pub trait Replay: Sized {
    /// A copy that starts from the beginning, made before this one is sent; `None` where it is
    /// known that there can be none.
    fn replay(&self) -> Option<Self>;

    /// Whether this copy can still be sent. Asked when its turn has come. Default: yes.
    fn can_replay(&self) -> bool {
        true
    }
}

impl<B> Replay for ReplayBody<B> {
    fn replay(&self) -> Option<Self> {
        self.can_replay().then(|| self.clone())
    }

    fn can_replay(&self) -> bool {
        self.is_whole()
    }
}

macro_rules! replay_by_clone {
    ($(($($parameter:ident: $bound:ident)?) $body:ty),* $(,)?) => {$(
        impl $(<$parameter: $bound>)? Replay for $body {
            fn replay(&self) -> Option<Self> {
                Some(self.clone())
            }
        }
    )*};
}

replay_by_clone! {
    () (),
    () String,
    () &'static str,
    () Bytes,
    () Vec<u8>,
    (D: Clone) Full<D>,
}

impl<D: bytes::Buf> Replay for Empty<D> {
    fn replay(&self) -> Option<Self> {
        Some(Self::new())
    }
}
