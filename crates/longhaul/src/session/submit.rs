//! Operations as values, for programs that take them from elsewhere.

#[cfg(feature = "coding")]
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

impl Session {
    /// Performs an operation under `id`. Operations that this version does not know are
    /// [`TurnError::Unsupported`].
    ///
    /// # Errors
    ///
    /// What the operation's own method gives.
    ///
    /// # Cancel safety
    ///
    /// As the operation's own method.
    pub async fn submit(&self, id: &str, op: Op) -> Result<Accepted, TurnError> {
        match op {
            Op::UserInput { items } => {
                let handle = self.steer(Input::from(items).id(id)).await?;
                Ok(Accepted::Turn(handle))
            }
            Op::UserTurn(turn) => {
                let handle = self.steer(Input::from(turn).id(id)).await?;
                Ok(Accepted::Turn(handle))
            }
            Op::OverrideTurnContext(change) => self.configure(change).map(|()| Accepted::Done),
            Op::Interrupt => {
                self.interrupt();
                Ok(Accepted::Done)
            }
            Op::Withdraw { input_id } => self.withdraw(&input_id).map(|()| Accepted::Done),
            Op::Approval { call_id, decision } => {
                self.answer(&call_id, None, decision).map(|()| Accepted::Done)
            }
            Op::Compact => self.inner.compact(Some(id)).map(Accepted::Turn),
            #[cfg(feature = "coding")]
            Op::Review { prompt } => {
                let review = self.inner.review(prompt)?;
                self.inner.replace(Some(id), Arc::new(review)).map(Accepted::Turn)
            }
            #[cfg(feature = "coding")]
            Op::Undo => {
                let undo = Arc::new(crate::coding::Undo);
                self.inner.replace(Some(id), undo).map(Accepted::Turn)
            }
            Op::Shutdown => self.shutdown().await.map(|()| Accepted::Done),
            op => Err(TurnError::Unsupported(op.name())),
        }
    }
}
