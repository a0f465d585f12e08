//! Operations as values, for programs that take them from elsewhere.

use std::sync::Arc;

use longhaul_state::protocol::{Op, TurnError};

use super::Session;
use crate::{Input, TurnHandle};

/// What [`Session::submit`] did.
#[derive(Debug)]
#[non_exhaustive]
pub enum Accepted {
    /// The input is accepted; its turn has a handle.
    Turn(TurnHandle),
    /// It is done.
    Done,
}

/// What is to be kept before an operation is answered.
enum Keep {
    /// Nothing.
    Nothing,
    /// An input that was noted.
    Input(Option<Arc<str>>),
    /// All that was changed.
    All,
    /// The whole log, whose session ends.
    End,
}

impl Session {
    /// Performs an operation under `id`. Operations that this version does not know are
    /// [`TurnError::Unsupported`].
    ///
    /// Completes when what it did is kept, as the operation's own method does. Operations have their
    /// effect in the order in which their futures are polled first, and none waits until another is kept:
    /// while a log is slow, an interrupt still is one. An input that comes while the log cannot be written
    /// has its effect when that was tried again; what comes behind it has it meanwhile.
    ///
    /// # Errors
    ///
    /// What the operation's own method gives.
    ///
    /// # Cancel safety
    ///
    /// As the operation's own method. Dropped before its turn has come, it has no effect.
    pub async fn submit(&self, id: &str, op: Op) -> Result<Accepted, TurnError> {
        if matches!(op, Op::UserInput { .. } | Op::UserTurn(_)) {
            // Not in the order of the others: they do not wait for a log.
            self.inner.catch_up().await?;
        }
        let (mut accepted, keep) = {
            let _in_order = self.inner.order.lock().await;
            self.perform(id, op).await?
        };
        match (keep, &mut accepted) {
            (Keep::Input(noted), Accepted::Turn(handle)) => {
                self.inner.acknowledge(noted, handle).await?;
            }
            (Keep::All, _) => self.inner.kept().await?,
            (Keep::End, _) => self.shutdown().await?,
            (Keep::Nothing | Keep::Input(_), _) => {}
        }
        Ok(accepted)
    }

    /// Performs it in memory.
    async fn perform(&self, id: &str, op: Op) -> Result<(Accepted, Keep), TurnError> {
        let inner = &self.inner;
        let kept = match op {
            Op::UserInput { items } => return self.input(Input::from(items).id(id)).await,
            Op::UserTurn(turn) => return self.input(Input::from(turn).id(id)).await,
            Op::Compact => return inner.compact(Some(id)).map(begun),
            #[cfg(feature = "coding")]
            Op::Review { prompt } => {
                let review = Arc::new(inner.review(prompt)?);
                return inner.replace(Some(id), review).map(begun);
            }
            #[cfg(feature = "coding")]
            Op::Undo => {
                return inner.replace(Some(id), Arc::new(crate::coding::Undo)).map(begun);
            }
            Op::Interrupt => {
                self.interrupt();
                Keep::Nothing
            }
            Op::OverrideTurnContext(change) => inner.configure(change).map(|()| Keep::All)?,
            Op::Withdraw { input_id } => inner.withdraw(&input_id).map(|()| Keep::All)?,
            Op::Approval { call_id, decision } => {
                let is_kept = inner.answer(&call_id, None, decision)?;
                if is_kept { Keep::All } else { Keep::Nothing }
            }
            Op::Shutdown => {
                inner.stop();
                Keep::End
            }
            op => return Err(TurnError::Unsupported(op.name())),
        };
        Ok((Accepted::Done, kept))
    }

    async fn input(&self, input: Input) -> Result<(Accepted, Keep), TurnError> {
        let (handle, noted) = self.inner.steer_in_memory(input).await?;
        Ok((Accepted::Turn(handle), Keep::Input(noted)))
    }
}

/// What a turn does it keeps itself.
fn begun(handle: TurnHandle) -> (Accepted, Keep) {
    (Accepted::Turn(handle), Keep::Nothing)
}
