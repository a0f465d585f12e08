//! Interrupts of turns whose responses hang.

use std::time::Instant;

use longhaul::TurnHandle;
use longhaul::prelude::*;
use longhaul_benches::answer::{self, Failure, MESSAGE};
use longhaul_benches::loopback::{Loopback, Script};
use longhaul_benches::naive::Naive;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{Client, SESSIONS, quantiles};

/// Interrupts a turn of every session, while all others hang: a row of the table.
pub(super) async fn of_all(
    by: fn(&str) -> Result<Client, Failure>,
    together: bool,
) -> Result<String, Failure> {
    let mut begun = answer::message();
    begun.truncate(begun.len() / 2);
    let replies = vec![answer::unfinished_http(&begun)];
    let server = Loopback::start(Script { replies, ..Script::default() })?;
    let client = by(&server.base_url())?;
    let mut turns = Vec::with_capacity(SESSIONS);
    for _ in 0..SESSIONS {
        turns.push(Hanging::start(&client).await?);
    }
    let mut took = Vec::with_capacity(SESSIONS);
    if together {
        let interrupted: Vec<_> = turns.iter_mut().map(Hanging::interrupt).collect();
        for (turn, interrupted) in turns.iter_mut().zip(interrupted) {
            took.push(turn.aborted().await? - interrupted);
        }
    } else {
        for turn in &mut turns {
            let interrupted = turn.interrupt();
            took.push(turn.aborted().await? - interrupted);
            // Another in its place, so that there are always as many.
            *turn = Hanging::start(&client).await?;
        }
        for turn in &mut turns {
            turn.interrupt();
            turn.aborted().await?;
        }
    }
    assert_eq!(took.len(), SESSIONS, "all turns are aborted");
    let nanos = took.iter().map(|took| u64::try_from(took.as_nanos())).collect::<Result<_, _>>()?;
    Ok(format!("{} | {}", client.name(), quantiles(nanos)))
}

/// A turn whose response is coming and never ends.
struct Hanging {
    stop: Stop,
    reader: Reader,
}

/// When its reader saw that it was aborted.
type Reader = JoinHandle<Result<Instant, Failure>>;

enum Stop {
    Longhaul(Session),
    ByHand(Option<oneshot::Sender<()>>),
}

impl Hanging {
    async fn start(client: &Client) -> Result<Self, Failure> {
        match client {
            Client::Longhaul(agent) => {
                let session = agent.session().start().await?;
                let mut turn = session.prompt(MESSAGE).await?;
                while let Some(event) = turn.next().await {
                    if matches!(event, Event::TextDelta(_)) {
                        break;
                    }
                }
                let reader = tokio::spawn(until_aborted(turn));
                Ok(Self { stop: Stop::Longhaul(session), reader })
            }
            Client::ByHand(client, base_url) => {
                let (stop, stopped) = oneshot::channel();
                let (streaming, streams) = oneshot::channel();
                let naive = Naive::new(client, base_url);
                let reader = tokio::spawn(until_stopped(naive, streaming, stopped));
                streams.await?;
                Ok(Self { stop: Stop::ByHand(Some(stop)), reader })
            }
        }
    }

    fn interrupt(&mut self) -> Instant {
        let now = Instant::now();
        let is_told = match &mut self.stop {
            Stop::Longhaul(session) => session.interrupt(),
            Stop::ByHand(stop) => stop.take().is_some_and(|stop| stop.send(()).is_ok()),
        };
        assert!(is_told, "a turn runs");
        now
    }

    async fn aborted(&mut self) -> Result<Instant, Failure> {
        (&mut self.reader).await?
    }
}

async fn until_aborted(mut turn: TurnHandle) -> Result<Instant, Failure> {
    while let Some(event) = turn.next().await {
        if matches!(event, Event::TurnAborted { .. }) {
            return Ok(Instant::now());
        }
    }
    Err("the turn ended otherwise".into())
}

/// A turn by hand, dropped when it is to stop.
async fn until_stopped(
    mut naive: Naive,
    streaming: oneshot::Sender<()>,
    stopped: oneshot::Receiver<()>,
) -> Result<Instant, Failure> {
    let mut streaming = Some(streaming);
    let turn = naive.turn(MESSAGE, |_| {
        // Who waits for it has waited for the first piece.
        let _ = streaming.take().map(|streaming| streaming.send(()));
    });
    tokio::select! {
        _ = stopped => {}
        ended = turn => return Err(format!("the turn ended: {ended:?}").into()),
    }
    Ok(Instant::now())
}
