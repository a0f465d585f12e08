//! The session between stdin and stdout.

use std::sync::Arc;

use longhaul::Session;
use longhaul::events::SessionEvents;
use longhaul::rollout::{LogRef, OnDamage};
use serde_json::json;
use tokio::io::BufReader;

use crate::config::{Origin, Setup};
use crate::output::{Output, configured, error_event, messages};
use crate::submission::{self, Line};

/// Why the program cannot go on.
pub(crate) enum RunError {
    /// The configuration does not work.
    Setup(String),
    /// Stdin cannot be read.
    Input(std::io::Error),
    /// Stdout is gone.
    Output(std::io::Error),
}

/// Runs one session until stdin ends, a shutdown is asked for, or a signal ends the program.
pub(crate) async fn run(setup: Setup) -> Result<(), RunError> {
    let opening = setup.agent.session();
    let opening = match &setup.origin {
        Origin::New => opening,
        Origin::Resumed(log) => opening.resume(LogRef::Path(log.clone()), OnDamage::Refuse),
        Origin::Forked(log, before) => opening.fork_log(LogRef::Path(log.clone()), *before),
    };
    let session = opening.start().await.map_err(|e| RunError::Setup(e.to_string()))?;
    let output = Output::default();
    let events = session.events();
    let is_new = setup.origin == Origin::New;
    output.send("", &configured(&session, is_new)).await.map_err(RunError::Output)?;
    for message in setup.warnings.into_iter().chain(found(&session)) {
        let warning = json!({"type": "background_event", "message": message});
        output.send("", &warning).await.map_err(RunError::Output)?;
    }
    if session.resumed().is_some_and(|resumed| resumed.open_turn.is_some()) {
        // Its events tell what becomes of it.
        let going_on = session.continue_turn();
        going_on.map_err(|error| RunError::Setup(error.to_string()))?;
    }
    let output = Arc::new(output);
    let printing = print(events, session.id().to_owned(), Arc::clone(&output));
    let reading = async {
        let ended = read(&session, &output).await;
        // It cannot fail, and what is accepted ends in an event.
        let _ = session.shutdown().await;
        ended
    };
    // If stdout is gone, nothing that is read could be answered.
    let (shutdown_id, ()) = tokio::try_join!(reading, printing)?;
    let complete = json!({"type": "shutdown_complete"});
    output.send(&shutdown_id, &complete).await.map_err(RunError::Output)
}

/// What is to be said of a session that was opened again.
fn found(session: &Session) -> Vec<String> {
    let Some(resumed) = session.resumed() else {
        return Vec::new();
    };
    let torn = (resumed.torn_bytes > 0).then(|| {
        let bytes = resumed.torn_bytes;
        format!("{bytes} bytes at the end of the log were not whole and are set aside")
    });
    let unknown = (!resumed.unknown_calls.is_empty()).then(|| {
        let calls = resumed.unknown_calls.join(", ");
        format!("these calls had started and their effect is unknown: {calls}")
    });
    let differences = resumed.differences.iter().cloned();
    torn.into_iter().chain(unknown).chain(differences).collect()
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

/// Performs what stdin asks for; gives the id of the submission that asked for the end.
async fn read(session: &Session, output: &Output) -> Result<String, RunError> {
    let mut stdin = BufReader::new(tokio::io::stdin());
    let mut terminated = std::pin::pin!(terminated());
    loop {
        let line = tokio::select! {
            line = submission::read(&mut stdin) => line.map_err(RunError::Input)?,
            () = &mut terminated => return Ok(String::new()),
        };
        let (id, op) = match line {
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
        // The session's own events tell what becomes of what it accepts.
        if let Err(error) = session.submit(&id, op).await {
            let error = error_event(&error);
            output.send(&id, &error).await.map_err(RunError::Output)?;
        }
    }
}

/// Completes when a signal asks the program to end; its tools are then stopped, too.
#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
        // Without handlers the signals do what they always do.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

#[cfg(not(unix))]
async fn terminated() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}
