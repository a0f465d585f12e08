//! The chat over pipes: a prompt a line on stdin, answers on stdout, all else on stderr.

use std::error::Error;
use std::io::Write;

use longhaul::approval::ApprovalDecision;
use longhaul::prelude::*;
use longhaul::{Agent, TurnHandle};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::Options;
use crate::command::{self, Done};

pub(crate) async fn run(agent: &Agent, options: &Options) -> Result<(), Box<dyn Error>> {
    let session = agent.session().start().await?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut failed = None;
    while let Some(line) = lines.next_line().await? {
        let turn = match line.trim() {
            "" => continue,
            line if line.starts_with('/') => match command::perform(&session, line)? {
                Done::Turn(turn) => turn,
                Done::Say(text) => {
                    note(&text)?;
                    continue;
                }
                Done::Quit => break,
            },
            line => {
                let mut input = Input::from(line);
                if let Some(schema) = &options.output_schema {
                    input = input.output_schema(schema.clone());
                }
                session.prompt(input).await?
            }
        };
        failed = follow(&session, turn, options.yes).await?.err();
    }
    session.shutdown().await?;
    failed.map_or(Ok(()), |error| Err(error.into()))
}

/// Shows a turn, and gives how it ended.
async fn follow(
    session: &Session,
    mut turn: TurnHandle,
    yes: bool,
) -> std::io::Result<Result<TurnResult, TurnError>> {
    let mut out = std::io::stdout();
    while let Some(event) = turn.next().await {
        match event {
            Event::TextDelta(text) => write!(out, "{text}").and_then(|()| out.flush())?,
            Event::ToolCallBegin { name, arguments, .. } => {
                note(&format!("-> {name} {arguments}"))?;
            }
            Event::ToolCallEnd { output, .. } => note(&format!("<- {output}"))?,
            Event::ToolCallDenied { name, reason, .. } => note(&format!("-- {name}: {reason}"))?,
            Event::ApprovalRequest { call_id, digest, .. } => {
                let reason = Some("nobody is there to say yes".into());
                let denied = ApprovalDecision::Denied { reason };
                let decision = if yes { ApprovalDecision::Approved } else { denied };
                // It is being ended if the answer comes too late.
                let _ = session.answer(&call_id, Some(digest), decision).await;
            }
            Event::StreamError { attempt, max_attempts, error, .. } => {
                note(&format!("reconnecting {attempt}/{max_attempts}: {error}"))?;
            }
            Event::ExitedReviewMode { output: Some(review) } => {
                writeln!(out, "{}", review.overall_explanation)?;
            }
            Event::ContextCompacted(report) => note(&format!(
                "compacted: {} tokens became {}",
                report.tokens_before, report.tokens_after
            ))?,
            Event::UndoCompleted { message: Some(message), .. } => note(&message)?,
            Event::Background(text) => note(&text)?,
            Event::Error(error) => note(&format!("error: {error}"))?,
            Event::TurnComplete { .. } => writeln!(out)?,
            _ => {}
        }
    }
    Ok(turn.await)
}

fn note(text: &str) -> std::io::Result<()> {
    writeln!(std::io::stderr(), "{text}")
}
