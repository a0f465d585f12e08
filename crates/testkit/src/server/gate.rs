//! Where the server waits for the test.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

/// A point at which a reply waits until the test opens it. Clones are the same gate.
///
/// Once open it stays open, for all replies that hold it.
#[derive(Clone)]
pub struct Gate {
    name: Arc<str>,
    state: Arc<watch::Sender<State>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    reached: bool,
    open: bool,
}

impl Gate {
    /// A closed gate. The name is for debug output.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), state: Arc::new(watch::Sender::new(State::default())) }
    }

    /// Lets the server pass, now and later.
    pub fn open(&self) {
        self.state.send_modify(|state| state.open = true);
    }

    /// Waits until the server has arrived here for the first time. All earlier bytes are written then.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only looks.
    pub async fn reached(&self) {
        self.wait_for(|state| state.reached).await;
    }

    pub(crate) async fn pass(&self) {
        self.state.send_modify(|state| state.reached = true);
        self.wait_for(|state| state.open).await;
    }

    async fn wait_for(&self, condition: impl Fn(&State) -> bool) {
        // The sender lives as long as `self`, so the only error, a closed channel, cannot be.
        let _ = self.state.subscribe().wait_for(|state| condition(state)).await;
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("name", &self.name)
            .field("state", &*self.state.borrow())
            .finish()
    }
}
