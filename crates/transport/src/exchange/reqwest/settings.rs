//! How the connections are set up. Each number has its reason.

use std::time::Duration;

use super::{classify, tls};
use crate::exchange::ExchangeError;
use crate::exchange::pump::STREAM_WINDOW_BYTES;

/// What a server may send unasked on all streams of a connection together: as much as 64 streams
/// whose readers stand still, so that those do not starve the others. The memory in use is bounded
/// by the streams' own windows. The HTTP/2 stack derives from this how many tiny unread frames it
/// bears before it ends the connection: so many that one window of 20-byte frames is no reason.
const CONNECTION_WINDOW_BYTES: usize = 64 * STREAM_WINDOW_BYTES;

/// After so long a silence on a connection with an open stream, HTTP/2 asks whether anybody is
/// there. A model may think for longer; its server's HTTP stack answers all the same.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// So long such a question may stay without answer.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// The same for HTTP/1.1, by TCP: first question, and time between questions.
const TCP_KEEPALIVE: Duration = Duration::from_secs(15);

/// Sent bytes that nobody acknowledges for so long mean that the peer is gone. More than a request
/// may take to be sent (60 s by default): a peer that is there and does not read is that deadline's.
#[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(75);

/// An unused connection is closed after so long: below the 60 s of common load balancers, so that
/// no request is sent just as the other side closes. Servers that close earlier are noticed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// A client with its own pool of connections.
pub(super) fn client(connect: Duration) -> Result<reqwest::Client, ExchangeError> {
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls::config()?)
        .connect_timeout(connect)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .pool_idle_timeout(POOL_IDLE_TIMEOUT);
    tcp(http2(builder)).build().map_err(classify::sending)
}

fn http2(builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    // Both are far below the protocol's 2 GiB.
    let window = |bytes: usize| u32::try_from(bytes).ok();
    builder
        .http2_adaptive_window(false)
        .http2_initial_stream_window_size(window(STREAM_WINDOW_BYTES))
        .http2_initial_connection_window_size(window(CONNECTION_WINDOW_BYTES))
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .http2_keep_alive_while_idle(false)
}

fn tcp(builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    let builder = builder
        .tcp_nodelay(true)
        .tcp_keepalive(TCP_KEEPALIVE)
        .tcp_keepalive_interval(TCP_KEEPALIVE);
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let builder = builder.tcp_user_timeout(TCP_USER_TIMEOUT);
    builder
}
