//! A model in process that answers at once and says when it was asked, and when its response ended.

use std::hint::black_box;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use longhaul_transport::event::Decoder;
use longhaul_transport::{Model, ModelError, Request, ResponseEvent, ResponseStream};
use tokio::sync::Notify;

use crate::answer::Event;

/// A model that answers by a script, in a circle.
pub struct Stopwatch {
    responses: Vec<Vec<ResponseEvent>>,
    log: Arc<Log>,
}

/// What happened when to one request.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Its bytes were ready.
    pub encoded: Instant,
    /// The terminal event of its response was given.
    pub ended: Option<Instant>,
}

#[derive(Default)]
struct Log {
    times: Mutex<Vec<Times>>,
    caught_up: Notify,
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, Vec<Times>> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stopwatch {
    /// A model whose n-th response has the n-th of these lists of events.
    ///
    /// # Errors
    ///
    /// If an event cannot be read.
    pub fn new(responses: &[Vec<Event>]) -> Result<Self, ModelError> {
        let responses = responses.iter().map(|events| typed(events)).collect::<Result<_, _>>()?;
        Ok(Self { responses, log: Arc::default() })
    }

    /// What was noted since the last time.
    pub fn take(&self) -> Vec<Times> {
        std::mem::take(&mut self.log.lock())
    }

    /// The reader has all that was streamed of a message, so that its end may come: what the end costs
    /// is then not the reading of what came before it.
    pub fn caught_up(&self) {
        self.log.caught_up.notify_one();
    }
}

fn typed(events: &[Event]) -> Result<Vec<ResponseEvent>, ModelError> {
    let mut decoder = Decoder::default();
    let events = events.iter().map(|event| decoder.decode(&event.json));
    Ok(events.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

#[async_trait]
impl Model for Stopwatch {
    async fn stream(&self, request: &Request) -> Result<ResponseStream, ModelError> {
        black_box(self.encode(request)?);
        let encoded = Instant::now();
        let index = {
            let mut times = self.log.lock();
            times.push(Times { encoded, ended: None });
            times.len() - 1
        };
        let mut events = self.responses[index % self.responses.len()].clone();
        let is_delta = |event: &ResponseEvent| matches!(event, ResponseEvent::TextDelta(_));
        let end = events.iter().rposition(is_delta).map(|last| events.split_off(last + 1));
        let log = Arc::clone(&self.log);
        let end = stream::once(async move {
            if end.is_some() {
                log.caught_up.notified().await;
            }
            stream::iter(end.unwrap_or_default())
        });
        let log = Arc::clone(&self.log);
        let events = stream::iter(events).chain(end.flatten()).map(move |event| {
            if event.is_terminal()
                && let Some(times) = log.lock().get_mut(index)
            {
                times.ended = Some(Instant::now());
            }
            Ok(event)
        });
        Ok(events.boxed())
    }
}
