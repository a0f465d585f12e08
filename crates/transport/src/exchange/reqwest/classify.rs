//! What kind of failure an error of the HTTP stack is: by the types in its chain, not its texts.

use std::error::Error;
use std::io;

use super::tls;
use crate::exchange::{ExchangeError, ExchangeErrorKind};

/// A failure before the head of the response.
pub(super) fn sending(error: reqwest::Error) -> ExchangeError {
    let error = error.without_url();
    let (kind, words) = if let Some(words) = tls::objection(&error) {
        (ExchangeErrorKind::Tls, Some(words))
    } else if error.is_connect() && error.is_timeout() {
        (ExchangeErrorKind::ConnectTimeout, Some(String::new()))
    } else if error.is_connect() && error.is_dns() {
        (ExchangeErrorKind::Connect, Some("its name could not be resolved".into()))
    } else if error.is_connect() {
        (ExchangeErrorKind::Connect, None)
    } else if chain(&error).any(was_not_processed) {
        (ExchangeErrorKind::NotProcessed, None)
    } else {
        (ExchangeErrorKind::Broken, None)
    };
    let explained = ExchangeError::new(kind, error);
    match words {
        Some(words) => explained.because(words),
        None => explained,
    }
}

/// A failure within the body of the response: the server has processed the request.
pub(super) fn reading(error: reqwest::Error) -> ExchangeError {
    ExchangeError::new(ExchangeErrorKind::Broken, error.without_url())
}

/// Whether the server certainly has not processed the request.
///
/// Over HTTP/1.1 and HTTP/2: the request was never handed to the connection, which was gone by
/// then. Over HTTP/2 also: the server refused the stream, or said with `GOAWAY` that it stopped
/// before it (RFC 9113, 6.8 and 8.7); streams that it began keep no such error.
fn was_not_processed(error: &(dyn Error + 'static)) -> bool {
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return error.is_canceled();
    }
    error.downcast_ref::<h2::Error>().is_some_and(|error| {
        let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        error.is_remote() && (error.is_go_away() || refused)
    })
}

/// An error and its causes, from the outside in; also what I/O errors wrap.
pub(super) fn chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>() {
        Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => error.source(),
    })
}
