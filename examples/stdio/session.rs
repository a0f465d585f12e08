//! The session between stdin and stdout.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::stream::{self, FuturesUnordered};
use futures_util::{FutureExt, StreamExt};
use longhaul::events::SessionEvents;
use longhaul::rollout::OnDamage;
use longhaul::state::protocol::{Op, TurnError};
use longhaul::{BuildError, Imported, Resumed, Session};
use serde_json::json;
use tokio::io::BufReader;

use crate::config::{Origin, Setup};
use crate::output::{Output, configured, error_event, messages};
use crate::submission::{self, Line};

/// So many submissions may wait until they are kept; while as many do, stdin is not read.
const MAX_SUBMITTED: usize = 256;

/// A submission until it is answered, with its id.
type Submitted<'a> = Pin<Box<dyn Future<Output = (String, Result<(), TurnError>)> + Send + 'a>>;

/// Why the program cannot go on.
pub(crate) enum RunError {
    /// The configuration does not work.
    Setup(String),
    /// Stdin cannot be read.
    Input(std::io::Error),
    /// Stdout is gone.
    Output(std::io::Error),
    /// A second signal came before it was done.
    Signal,
}

/// Runs one session until stdin ends, a shutdown is asked for, or a signal ends the program.
pub(crate) async fn run(setup: Setup) -> Result<(), RunError> {
    let session = open(&setup).await.map_err(|e| RunError::Setup(e.to_string()))?;
    let output = Output::default();
    let events = session.events();
    let is_new = setup.origin == Origin::New;
    output.send("", &configured(&session, is_new)).await.map_err(RunError::Output)?;
    for message in setup.warnings.into_iter().chain(found(&session)) {
        let warning = json!({"type": "background_event", "message": message});
        output.send("", &warning).await.map_err(RunError::Output)?;
    }
    let was_cut_off = |it: &Resumed| it.open_turn.is_some() || !it.inputs.is_empty();
    if session.resumed().is_some_and(was_cut_off) {
        // Its events tell what becomes of it.
        let going_on = session.continue_turn();
        going_on.map_err(|error| RunError::Setup(error.to_string()))?;
    }
    let output = Arc::new(output);
    let printing = print(events, session.id().to_owned(), Arc::clone(&output));
    let reading = async {
        let ended = perform(&session, &output).await;
        // Also where a line was no submission to be read: what is accepted ends in an event.
        let _ = session.shutdown().await;
        ended
    };
    let ending = async {
        // If stdout is gone, nothing that is read could be answered.
        let (shutdown_id, ()) = tokio::try_join!(reading, printing)?;
        let complete = json!({"type": "shutdown_complete"});
        output.send(&shutdown_id, &complete).await.map_err(RunError::Output)
    };
    // Nobody may be reading what it says.
    tokio::select! {
        ended = ending => ended,
        () = terminated(2) => Err(RunError::Signal),
    }
}

/// Opens the session that the command line asks for. One of another program is taken over.
async fn open(setup: &Setup) -> Result<Session, BuildError> {
    let opening = setup.agent.session();
    match &setup.origin {
        Origin::New => opening.start().await,
        Origin::Forked(log, before) => opening.fork_log(log.clone(), *before).start().await,
        Origin::Resumed(log) => match opening.resume(log.clone(), OnDamage::Refuse).start().await {
            Err(BuildError::Foreign { .. }) => {
                let opening = setup.agent.session();
                opening.import(log.clone(), OnDamage::Refuse).start().await
            }
            opened => opened,
        },
    }
}

/// What is to be said of a session that was opened again or taken over.
fn found(session: &Session) -> Vec<String> {
    if let Some(imported) = session.imported() {
        return taken_over(imported);
    }
    let Some(resumed) = session.resumed() else {
        return Vec::new();
    };
    let torn = (resumed.torn_bytes > 0).then(|| {
        let bytes = resumed.torn_bytes;
        let place = resumed.set_aside.as_ref().map(|path| format!(", in {}", path.display()));
        let place = place.unwrap_or_default();
        format!("{bytes} bytes at the end of the log were not whole and are set aside{place}")
    });
    let unknown = (!resumed.unknown_calls.is_empty()).then(|| {
        let calls = resumed.unknown_calls.join(", ");
        format!("these calls had started and their effect is unknown: {calls}")
    });
    let waiting = (!resumed.inputs.is_empty()).then(|| {
        format!("these inputs had waited and are taken now: {}", resumed.inputs.join(", "))
    });
    let differences = resumed.differences.iter().cloned();
    torn.into_iter().chain(unknown).chain(waiting).chain(differences).collect()
}

/// What is to be said of a session that another program began.
fn taken_over(imported: &Imported) -> Vec<String> {
    let id = &imported.from.id;
    let mut told = vec![format!("the session {id} of another program is taken over")];
    if imported.torn_bytes > 0 {
        let bytes = imported.torn_bytes;
        told.push(format!("{bytes} bytes at the end of its log were not whole and are left out"));
    }
    if !imported.unanswered_calls.is_empty() {
        let calls = imported.unanswered_calls.join(", ");
        told.push(format!("these calls have no output, and are answered `aborted`: {calls}"));
    }
    told.extend(imported.left_out.iter().map(|what| format!("not taken over: {what}")));
    told
}

/// Prints every event of the session.
async fn print(
    mut events: SessionEvents,
    thread_id: String,
    output: Arc<Output>,
) -> Result<(), RunError> {
    while let Some(event) = events.next().await {
        for message in messages(&thread_id, &event) {
            let sent = output.send(&event.submission_id, &message).await;
            sent.map_err(RunError::Output)?;
        }
    }
    Ok(())
}

/// Performs what stdin asks for, to its end; gives the id of the submission that asked for the end.
async fn perform(session: &Session, output: &Output) -> Result<String, RunError> {
    let mut submitted = FuturesUnordered::new();
    let read = read(session, output, &mut submitted).await;
    let id = read.as_deref().unwrap_or_default().to_owned();
    // In its turn, behind what was asked for before. How it went is in an event.
    let ending = session.submit(&id, Op::Shutdown);
    let answering = async {
        while let Some(answer) = submitted.next().await {
            tell(output, answer).await?;
        }
        Ok(())
    };
    let (_, answered) = tokio::join!(ending, answering);
    answered.and(read)
}

/// Submits what stdin asks for. A submission that waits for the log holds up none after it.
async fn read<'a>(
    session: &'a Session,
    output: &Output,
    submitted: &mut FuturesUnordered<Submitted<'a>>,
) -> Result<String, RunError> {
    let mut stdin = BufReader::new(tokio::io::stdin());
    let mut terminated = std::pin::pin!(terminated(1));
    let mut lines = std::pin::pin!(stream::unfold(&mut stdin, async |stdin| {
        Some((submission::read(stdin).await, stdin))
    }));
    loop {
        let line = tokio::select! {
            biased;
            () = &mut terminated => return Ok(String::new()),
            Some(answer) = submitted.next() => {
                tell(output, answer).await?;
                continue;
            }
            line = lines.next(), if submitted.len() < MAX_SUBMITTED => line,
        };
        let (id, op) = match line.unwrap_or(Ok(Line::End)).map_err(RunError::Input)? {
            Line::End => return Ok(String::new()),
            Line::Shutdown { id } => return Ok(id),
            Line::Blank => continue,
            Line::Invalid { id, problem } => {
                let error = json!({"type": "error", "message": problem,
                    "code": "invalid_submission", "retryable": false});
                output.send(&id, &error).await.map_err(RunError::Output)?;
                continue;
            }
            Line::Submission { id, op } => (id, op),
        };
        let mut submitting: Submitted<'a> = Box::pin(async move {
            let answer = session.submit(&id, op).await.map(drop);
            (id, answer)
        });
        // At once, so that they have their effect in their order.
        match (&mut submitting).now_or_never() {
            Some(answer) => tell(output, answer).await?,
            None => submitted.push(submitting),
        }
    }
}

/// Tells that a submission was refused. The session's own events tell what becomes of what it accepts.
async fn tell(output: &Output, answer: (String, Result<(), TurnError>)) -> Result<(), RunError> {
    match answer {
        (_, Ok(())) => Ok(()),
        (id, Err(error)) => output.send(&id, &error_event(&error)).await.map_err(RunError::Output),
    }
}

/// Completes when so many signals asked the program to end. At the first its tools are stopped, too.
#[cfg(unix)]
async fn terminated(signals: usize) {
    use tokio::signal::unix::{SignalKind, signal};
    let streams = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = streams else {
        // Without handlers the signals do what they always do.
        return std::future::pending().await;
    };
    for _ in 0..signals {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
async fn terminated(signals: usize) {
    for _ in 0..signals {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
