//! The reading side of a connection: requests, and whether the client is still there.

use std::future::pending;

use bytes::{Bytes, BytesMut};
use httparse::Status;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{RecordedRequest, ReplyOutcome};

/// Longest head, and longest run of bytes that a client may send ahead of its turn.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Room for a usual request, so that it takes few reads.
const READ_BYTES: usize = 16 * 1024;
const MAX_HEADERS: usize = 128;
const MAX_BODY_BYTES: usize = 256 * 1024 * 1024;

pub(super) struct Inbound<R> {
    read: R,
    buffer: BytesMut,
    connection: usize,
}

/// Why there is no request.
pub(super) enum Broken {
    /// The client closed the connection, between requests or in the middle of one.
    Closed,
    /// What it sent is not HTTP, or exceeds a bound.
    Malformed(String),
}

struct Head {
    bytes: usize,
    http_1_1: bool,
    request: RecordedRequest,
}

impl<R: AsyncRead + Unpin> Inbound<R> {
    pub(super) fn new(read: R, connection: usize) -> Self {
        Self { read, buffer: BytesMut::with_capacity(READ_BYTES), connection }
    }

    /// The next request, and whether the client wants to go on after it.
    pub(super) async fn request(
        &mut self,
        write: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(RecordedRequest, bool), Broken> {
        let Head { bytes, http_1_1, mut request } = self.head().await?;
        let _ = self.buffer.split_to(bytes);
        if request
            .header("expect")
            .is_some_and(|expect| expect.eq_ignore_ascii_case("100-continue"))
        {
            let go_on = write.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await;
            go_on.map_err(|_| Broken::Closed)?;
        }
        request.body = self.body(&request).await?;
        let keep_alive = http_1_1 && !wants_close(&request.headers);
        Ok((request, keep_alive))
    }

    /// Resolves when the client has closed the connection or its sending half. Cancel safe.
    pub(super) async fn closed(&mut self) {
        while self.fill().await.is_ok() {
            if self.buffer.len() > MAX_HEAD_BYTES {
                // A flood ahead of its turn stays with the operating system.
                pending::<()>().await;
            }
        }
    }

    async fn head(&mut self) -> Result<Head, Broken> {
        loop {
            if let Some(head) = parse_head(&self.buffer, self.connection)? {
                return Ok(head);
            }
            if self.buffer.len() > MAX_HEAD_BYTES {
                return Err(malformed("the head is too long"));
            }
            self.fill().await?;
        }
    }

    async fn body(&mut self, request: &RecordedRequest) -> Result<Bytes, Broken> {
        let coding = request.header("transfer-encoding");
        if coding.is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            return self.chunked_body().await;
        }
        let Some(length) = request.header("content-length") else {
            return Ok(Bytes::new());
        };
        let length =
            length.trim().parse().map_err(|_| malformed("the content length is no number"))?;
        self.exactly(length).await
    }

    async fn chunked_body(&mut self) -> Result<Bytes, Broken> {
        let mut body = BytesMut::new();
        loop {
            let length = self.chunk_length().await?;
            if length == 0 {
                return self.trailers().await.map(|()| body.freeze());
            }
            if body.len().saturating_add(length) > MAX_BODY_BYTES {
                return Err(malformed("the body is too long"));
            }
            body.extend_from_slice(&self.exactly(length).await?);
            if self.exactly(2).await? != "\r\n" {
                return Err(malformed("a chunk does not end where it says"));
            }
        }
    }

    async fn chunk_length(&mut self) -> Result<usize, Broken> {
        loop {
            match httparse::parse_chunk_size(&self.buffer) {
                Ok(Status::Complete((line, length))) => {
                    let _ = self.buffer.split_to(line);
                    return usize::try_from(length).map_err(|_| malformed("a chunk is too long"));
                }
                Ok(Status::Partial) if self.buffer.len() <= MAX_HEAD_BYTES => self.fill().await?,
                _ => return Err(malformed("a chunk has no valid length")),
            }
        }
    }

    async fn trailers(&mut self) -> Result<(), Broken> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
            match httparse::parse_headers(&self.buffer, &mut headers) {
                Ok(Status::Complete((bytes, _))) => {
                    let _ = self.buffer.split_to(bytes);
                    return Ok(());
                }
                Ok(Status::Partial) if self.buffer.len() <= MAX_HEAD_BYTES => self.fill().await?,
                _ => return Err(malformed("the trailers are not valid")),
            }
        }
    }

    async fn exactly(&mut self, length: usize) -> Result<Bytes, Broken> {
        if length > MAX_BODY_BYTES {
            return Err(malformed("the body is too long"));
        }
        self.buffer.reserve(length.saturating_sub(self.buffer.len()));
        while self.buffer.len() < length {
            self.fill().await?;
        }
        Ok(self.buffer.split_to(length).freeze())
    }

    /// Reads at least one byte more. Cancel safe.
    async fn fill(&mut self) -> Result<(), Broken> {
        match self.read.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => Err(Broken::Closed),
            Ok(_) => Ok(()),
        }
    }
}

/// Whether a head asks to close the connection after it.
pub(super) fn wants_close(headers: &[(String, String)]) -> bool {
    headers.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case("connection") && value.to_ascii_lowercase().contains("close")
    })
}

fn parse_head(buffer: &[u8], connection: usize) -> Result<Option<Head>, Broken> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let bytes = match parsed.parse(buffer).map_err(|error| malformed(&error.to_string()))? {
        Status::Complete(bytes) => bytes,
        Status::Partial => return Ok(None),
    };
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let request = RecordedRequest {
        order: 0,
        connection,
        method: parsed.method.unwrap_or_default().to_owned(),
        target: parsed.path.unwrap_or_default().to_owned(),
        headers: parsed
            .headers
            .iter()
            .map(|header| (header.name.to_owned(), text(header.value)))
            .collect(),
        body: Bytes::new(),
        reply_outcome: ReplyOutcome::Pending,
    };
    Ok(Some(Head { bytes, http_1_1: parsed.version == Some(1), request }))
}

fn malformed(why: &str) -> Broken {
    Broken::Malformed(why.to_owned())
}
