//! The few HTTP/2 frames that a hostile server needs, as bytes (RFC 9113, RFC 7541).

use bytes::Bytes;

/// What a client sends before its first frame.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Flag of [`DATA`] and [`HEADERS`]: the last frame of its stream.
pub const END_STREAM: u8 = 0x1;
/// Flag of [`HEADERS`] and [`CONTINUATION`]: the last frame of its header block.
pub const END_HEADERS: u8 = 0x4;
/// Flag of [`SETTINGS`] and [`PING`]: an acknowledgement.
pub const ACK: u8 = 0x1;

/// Type of a frame of body.
pub const DATA: u8 = 0x0;
/// Type of a frame that begins a header block.
pub const HEADERS: u8 = 0x1;
/// Type of a frame that ends a stream early.
pub const RST_STREAM: u8 = 0x3;
/// Type of a frame of parameters.
pub const SETTINGS: u8 = 0x4;
/// Type of a frame that announces a response to a request that was not made.
pub const PUSH_PROMISE: u8 = 0x5;
/// Type of a frame to be echoed.
pub const PING: u8 = 0x6;
/// Type of a frame that ends a connection.
pub const GOAWAY: u8 = 0x7;
/// Type of a frame that goes on with a header block.
pub const CONTINUATION: u8 = 0x9;

/// Bytes in front of each frame's payload.
pub(super) const HEAD_BYTES: usize = 9;

/// One frame. Only the lowest 24 bits of the payload's length are written.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Bytes {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat().into()
}

/// Parameters: identifier and value.
pub fn settings(parameters: &[(u16, u32)]) -> Bytes {
    let payload: Vec<u8> = parameters
        .iter()
        .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    frame(SETTINGS, 0, 0, &payload)
}

/// A header block: status 200 and `text/event-stream`, without Huffman coding and without a dynamic table.
pub fn event_stream_head() -> Vec<u8> {
    // 0x88: static table entry 8, `:status: 200`. 0x0f 0x10: literal, name of entry 31, `content-type`.
    let value = b"text/event-stream";
    [&[0x88, 0x0f, 0x10, 17], &value[..]].concat()
}

/// The head of an event stream on `stream`.
pub fn event_stream(stream: u32) -> Bytes {
    frame(HEADERS, END_HEADERS, stream, &event_stream_head())
}

/// A piece of body.
pub fn data(stream: u32, bytes: &[u8]) -> Bytes {
    frame(DATA, 0, stream, bytes)
}

/// The end of a stream, with an error code of RFC 9113, section 7.
pub fn rst_stream(stream: u32, code: u32) -> Bytes {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

/// The end of a connection: `last_stream` is the last one that the server has processed or may process.
pub fn goaway(last_stream: u32, code: u32) -> Bytes {
    frame(GOAWAY, 0, 0, &[last_stream.to_be_bytes(), code.to_be_bytes()].concat())
}
