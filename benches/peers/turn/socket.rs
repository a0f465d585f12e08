//! The server of `loopback`, for clients that speak WebSocket: finished frames, one write a response.
//!
//! The first message on a connection is nanocodex's warm-up, which asks for nothing; each further one gets
//! the next response, in a circle.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;

use longhaul_peers::answer::{Event, RESPONSE_ID};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tungstenite::handshake::derive_accept_key;

/// A frame with a whole text.
const TEXT: u8 = 0x81;

/// What a client's frame begins with: the kind, the length, and, if that says 126 or 127, a longer length.
const HEAD_BYTES: usize = 2;

/// Clients mask what they send.
const MASK_BYTES: usize = 4;

/// A running server. Dropping it stops it.
pub(crate) struct Server {
    addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Frames {
    warmup: Vec<u8>,
    responses: Vec<Vec<u8>>,
}

impl Server {
    pub(crate) fn start(responses: &[Vec<Event>]) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let frames = Arc::new(Frames {
            warmup: frame(&format!(
                r#"{{"type":"response.completed","response":{{"id":"{RESPONSE_ID}","usage":null}}}}"#
            )),
            responses: responses
                .iter()
                .map(|events| events.iter().flat_map(|event| frame(&event.json)).collect())
                .collect(),
        });
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("socket".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    _ = accept(listener, frames) => {}
                }
            });
        })?;
        Ok(Self { addr, stop: Some(stop), thread: Some(thread) })
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.addr)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.take();
        // It ends normally, or it has panicked and said so.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn frame(text: &str) -> Vec<u8> {
    let length = text.len();
    let mut frame = vec![TEXT];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..126), _) => frame.push(short),
        (_, Ok(long)) => {
            frame.push(126);
            frame.extend(long.to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(text.as_bytes());
    frame
}

async fn accept(listener: std::net::TcpListener, frames: Arc<Frames>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(stream, Arc::clone(&frames)));
    }
}

async fn serve(mut stream: TcpStream, frames: Arc<Frames>) -> io::Result<()> {
    let mut read = Vec::new();
    let key = loop {
        if let Some(key) = handshake(&mut read) {
            break key;
        }
        more(&mut stream, &mut read).await?;
    };
    let switch = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-accept: {}\r\n\r\n",
        derive_accept_key(&key)
    );
    stream.write_all(switch.as_bytes()).await?;
    next_text(&mut stream, &mut read).await?;
    stream.write_all(&frames.warmup).await?;
    for number in 0.. {
        next_text(&mut stream, &mut read).await?;
        stream.write_all(&frames.responses[number % frames.responses.len()]).await?;
    }
    Ok(())
}

/// The client's key, as soon as its head is there, which is let go.
fn handshake(read: &mut Vec<u8>) -> Option<Vec<u8>> {
    let end = read.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head: Vec<u8> = read.drain(..end + 4).collect();
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let key = fields.find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))?;
    Some(key.1.trim().as_bytes().to_vec())
}

/// Waits for the next text, and lets it go.
async fn next_text(stream: &mut TcpStream, read: &mut Vec<u8>) -> io::Result<()> {
    loop {
        if let Some(end) = end_of_frame(read).filter(|end| *end <= read.len()) {
            let kind = read[0];
            read.drain(..end);
            match kind & 0x0f {
                1 => return Ok(()),
                8 => return Err(io::ErrorKind::ConnectionAborted.into()),
                _ => continue,
            }
        }
        more(stream, read).await?;
    }
}

/// Where the frame ends, as soon as its head is there.
fn end_of_frame(read: &[u8]) -> Option<usize> {
    let (head, length) = match read.get(1)? & 0x7f {
        126 => (HEAD_BYTES + 2, usize::from(u16::from_be_bytes(read.get(2..4)?.try_into().ok()?))),
        127 => {
            let length = u64::from_be_bytes(read.get(2..10)?.try_into().ok()?);
            (HEAD_BYTES + 8, usize::try_from(length).ok()?)
        }
        short => (HEAD_BYTES, usize::from(short)),
    };
    Some(head + MASK_BYTES + length)
}

async fn more(stream: &mut TcpStream, read: &mut Vec<u8>) -> io::Result<()> {
    match stream.read_buf(read).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
