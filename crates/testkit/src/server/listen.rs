//! How a server listens: the protocol, TLS, and the connections it accepts.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, Socket};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
#[cfg(feature = "tls")]
use tokio_rustls::TlsAcceptor;

use super::state::Shared;
use super::{Script, Server, connection};
#[cfg(feature = "tls")]
use crate::tls::Identity;

/// What a server speaks. The default is HTTP/1.1 without TLS.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    scheme: &'static str,
    #[cfg(feature = "http2")]
    http2: bool,
    #[cfg(feature = "tls")]
    identity: Option<Identity>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            scheme: "http",
            #[cfg(feature = "http2")]
            http2: false,
            #[cfg(feature = "tls")]
            identity: None,
        }
    }
}

impl Builder {
    /// Speaks HTTP/2 and nothing else: over TLS by ALPN, else with prior knowledge.
    #[cfg(feature = "http2")]
    pub fn http2(mut self) -> Self {
        self.http2 = true;
        self
    }

    /// Speaks TLS, and shows `identity`.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, identity: &Identity) -> Self {
        self.scheme = "https";
        self.identity = Some(identity.clone());
        self
    }

    /// Listens on a free port of 127.0.0.1 and answers by the script; see [`Server::start`].
    ///
    /// # Errors
    ///
    /// The port cannot be opened, or the identity is unusable.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: before it returns, nothing runs.
    pub async fn start(self, script: impl Into<Script>) -> io::Result<Server> {
        let spoken = Spoken {
            #[cfg(feature = "http2")]
            http2: self.http2,
            #[cfg(feature = "tls")]
            tls: self.acceptor()?,
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared::new(script.into()));
        let (stop, stopped) = oneshot::channel();
        let listener = tokio::spawn(accept(listener, spoken, stopped, Arc::clone(&shared)));
        Ok(Server { addr, scheme: self.scheme, shared, stop: Some(stop), listener: Some(listener) })
    }

    #[cfg(feature = "tls")]
    fn acceptor(&self) -> io::Result<Option<TlsAcceptor>> {
        #[cfg(feature = "http2")]
        let protocol: &[u8] = if self.http2 { b"h2" } else { b"http/1.1" };
        #[cfg(not(feature = "http2"))]
        let protocol: &[u8] = b"http/1.1";
        let config =
            self.identity.as_ref().map(|identity| identity.config(protocol)).transpose()?;
        Ok(config.map(TlsAcceptor::from))
    }
}

/// What each connection speaks.
#[derive(Clone)]
struct Spoken {
    #[cfg(feature = "http2")]
    http2: bool,
    #[cfg(feature = "tls")]
    tls: Option<TlsAcceptor>,
}

/// A hold on a connection's socket from outside of its protocol. Keeps it open as long as it lives.
pub(super) struct Control(Option<Socket>);

impl Control {
    fn of(stream: &TcpStream) -> Self {
        Self(SockRef::from(stream).try_clone().ok())
    }

    /// Sends FIN, whatever the layers above still wanted to say.
    pub(super) fn fin(&self) {
        // A client that is gone already needs no end.
        let _ = self.0.as_ref().map(|socket| socket.shutdown(std::net::Shutdown::Write));
    }

    /// Makes the close a reset: it lingers for no time.
    pub(super) fn reset_on_close(&self) {
        let _ = self.0.as_ref().map(|socket| socket.set_linger(Some(Duration::ZERO)));
    }
}

/// Owns the connections: they end with it, and it ends when the server is dropped.
async fn accept(
    listener: TcpListener,
    spoken: Spoken,
    mut stopped: oneshot::Receiver<()>,
    shared: Arc<Shared>,
) {
    let mut connections = JoinSet::new();
    let mut count = 0;
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    shared.log.send_modify(|log| log.connections += 1);
                    connections.spawn(serve(stream, count, spoken.clone(), Arc::clone(&shared)));
                    count += 1;
                }
                Err(error) => break shared.fault(format!("The server cannot accept connections: {error}.")),
            },
            Some(_) = connections.join_next() => {}
        }
    }
    connections.shutdown().await;
}

/// Serves a connection until either side closes it.
async fn serve(stream: TcpStream, connection: usize, spoken: Spoken, shared: Arc<Shared>) {
    // Declared first, so that the connection is closed before that is told.
    let _closing = Closing { shared: Arc::clone(&shared), connection };
    let control = Control::of(&stream);
    // Best effort: without it writes come late, not wrong.
    let _ = stream.set_nodelay(true);
    #[cfg(feature = "tls")]
    if let Some(acceptor) = &spoken.tls {
        match acceptor.accept(stream).await {
            Ok(stream) => speak(stream, connection, &spoken, control, shared).await,
            Err(error) => {
                shared.log.send_modify(|log| log.failed_handshakes.push(error.to_string()));
            }
        }
        return;
    }
    speak(stream, connection, &spoken, control, shared).await;
}

#[cfg_attr(not(feature = "http2"), expect(unused_variables, reason = "one protocol is no choice"))]
async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    connection: usize,
    spoken: &Spoken,
    control: Control,
    shared: Arc<Shared>,
) {
    #[cfg(feature = "http2")]
    if spoken.http2 {
        return super::http2::serve(stream, connection, control, shared).await;
    }
    connection::serve(stream, connection, control, shared).await;
}

/// Tells that the connection is closed, however its task ends.
struct Closing {
    shared: Arc<Shared>,
    connection: usize,
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.shared.log.send_modify(|log| {
            log.closed.insert(self.connection);
        });
    }
}
