//! The session between stdin and stdout.

use std::sync::Arc;

use longhaul::events::SessionEvents;
use longhaul::{Accepted, Session};
use serde_json::json;
use tokio::io::BufReader;

use crate::config::Setup;
use crate::output::{Output, error_event, messages};
use crate::submission::{self, Line};

/// Why the program cannot go on.
pub(crate) enum RunError {
    /// The configuration does not work.
    Setup(String),
    /// Stdout is gone.
    Output(std::io::Error),
}

impl From<std::io::Error> for RunError {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error)
    }
}

/// Runs one session until stdin ends or a shutdown is asked for.
pub(crate) async fn run(setup: Setup) -> Result<(), RunError> {
    let agent = setup
        .agent
        .build()
        .map_err(|e| RunError::Setup(e.to_string()))?;
    let session = agent.session().start().await;
    let session = session.map_err(|e| RunError::Setup(e.to_string()))?;
    let output = Arc::new(Output::default());
    let configured = json!({"type": "session_configured", "session_id": session.id(),
        "model": setup.model});
    output.send("", &configured).await?;
    for message in setup.warnings {
        tracing_warn(&message);
        output
            .send("", &json!({"type": "background_event", "message": message}))
            .await?;
    }
    let events = tokio::spawn(print(
        session.events(),
        session.clone(),
        Arc::clone(&output),
    ));
    let shutdown_id = read(&session, &output).await?;
    // Nothing can be lost by it: what is accepted ends in an event.
    let _ = session.shutdown().await;
    drop(session);
    events
        .await
        .map_err(|e| std::io::Error::other(e.to_string()))??;
    output
        .send(&shutdown_id, &json!({"type": "shutdown_complete"}))
        .await?;
    Ok(())
}

fn tracing_warn(message: &str) {
    use std::io::Write;
    // A warning that nobody can read is no reason to stop.
    let _ = writeln!(std::io::stderr(), "stdio: {message}");
}

/// Prints every event of the session.
async fn print(
    mut events: SessionEvents,
    session: Session,
    output: Arc<Output>,
) -> std::io::Result<()> {
    let thread_id = session.id().to_owned();
    drop(session);
    while let Some(event) = events.next().await {
        for message in messages(&thread_id, &event) {
            output.send(&event.submission_id, &message).await?;
        }
    }
    Ok(())
}

/// Performs what stdin asks for; gives the id of the submission that asked for the end.
async fn read(session: &Session, output: &Output) -> std::io::Result<String> {
    let mut stdin = BufReader::new(tokio::io::stdin());
    loop {
        let (id, op) = match submission::read(&mut stdin).await? {
            Line::End => return Ok(String::new()),
            Line::Blank => continue,
            Line::Invalid { id, problem } => {
                let error = json!({"type": "error", "message": problem,
                    "code": "invalid_submission", "retryable": false});
                output.send(&id, &error).await?;
                continue;
            }
            Line::Shutdown { id } => return Ok(id),
            Line::Submission { id, op } => (id, op),
        };
        match session.submit(&id, op).await {
            // The session's own events tell what becomes of it.
            Ok(Accepted::Turn(_) | _) => {}
            Err(error) => output.send(&id, &error_event(&error)).await?,
        }
    }
}
