//! A response to its end.

use futures_util::StreamExt;
use longhaul_transport::{ModelError, ResponseEvent, ResponseStream};

/// All events of one attempt, signs of life too, and the error that ended it, if one did.
pub(crate) async fn drain(
    response: Result<ResponseStream, ModelError>,
) -> (Vec<ResponseEvent>, Option<ModelError>) {
    let mut stream = match response {
        Ok(stream) => stream,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => events.push(event),
            Err(error) => {
                assert!(stream.next().await.is_none(), "nothing comes after an error");
                return (events, Some(error));
            }
        }
    }
    (events, None)
}
