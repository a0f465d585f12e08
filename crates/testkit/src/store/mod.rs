//! What any store of session logs does, as tests for yours.
//!
//! ```
//! use std::sync::Arc;
//!
//! use longhaul_rollout::{MemoryStore, Store};
//! use longhaul_testkit::store::{Subject, store_conformance};
//!
//! struct Memory(MemoryStore);
//!
//! impl Subject for Memory {
//!     fn store(&self) -> Arc<dyn Store> {
//!         Arc::new(self.0.clone())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let checks = store_conformance(|| Memory(MemoryStore::new())).await;
//! assert!(checks.contains(&"one writer"));
//! # }
//! ```

#![expect(clippy::unwrap_used, reason = "these are tests, which fail by panicking")]

mod content;
mod failure;
mod listing;
mod owner;
mod sample;

use std::sync::Arc;

use longhaul_rollout::Store;

pub use sample::{item, session, session_id};

/// A store under test, empty when it is made, and the ways to hurt it.
pub trait Subject: Send + Sync {
    /// The store, as one more process would have it: it shares what is stored, and nothing else
    /// that matters.
    fn store(&self) -> Arc<dyn Store>;

    /// Leaves the first half of a record at the end of a log that nobody has open, as its writer
    /// would by dying. False if that cannot come to pass, the default: then it is not tested.
    fn tear(&self, session_id: &str) -> bool {
        let _ = session_id;
        false
    }

    /// Makes a sound line in the middle of a log unsound. False if that cannot be done.
    fn damage(&self, session_id: &str) -> bool {
        let _ = session_id;
        false
    }

    /// Takes the lock of a log away from its writer, which lives on, as the end of its lease would.
    /// False if locks cannot be taken away, the default: then it is not tested.
    fn expire(&self, session_id: &str) -> bool {
        let _ = session_id;
        false
    }

    /// Makes the next append fail for want of space, on every store given out so far. False if
    /// that cannot be done.
    fn fail_next_append(&self) -> bool {
        false
    }
}

/// Runs all checks, each on a new store. Returns the names of those that were run.
///
/// # Panics
///
/// If the store does not do what it should.
///
/// # Cancel safety
///
/// The checks that are left are not run.
pub async fn store_conformance<S: Subject>(make: impl Fn() -> S) -> Vec<&'static str> {
    content::comes_back_byte_for_byte(&make()).await;
    content::what_is_nested_deeply_comes_back(&make()).await;
    content::many_records_in_one_append(&make()).await;
    content::ordinals_and_epochs_go_on(&make()).await;
    content::no_records_are_no_append(&make()).await;
    content::reads_as_far_as_it_is_asked_to(&make()).await;
    owner::one_writer(&make()).await;
    owner::readers_need_no_lock(&make()).await;
    owner::a_session_is_started_once(&make()).await;
    owner::an_id_is_started_once_whenever(&make()).await;
    owner::what_is_no_start_is_refused(&make()).await;
    listing::newest_first_page_by_page(&make()).await;
    listing::filters(&make()).await;
    listing::titles(&make()).await;
    listing::titles_of_inputs(&make()).await;
    let mut run = vec![
        "content",
        "many records",
        "ordinals and epochs",
        "no records",
        "reading through a record",
        "one writer",
        "readers",
        "one start",
        "one start whenever",
        "bad starts",
        "list",
        "filters",
        "titles",
        "titles of inputs",
    ];
    run.extend(owner::a_writer_of_an_old_epoch_is_refused(&make()).await.then_some("takeover"));
    run.extend(failure::a_torn_end_is_not_acknowledged(&make()).await.then_some("torn"));
    run.extend(failure::damage_is_named(&make()).await.then_some("damage"));
    run.extend(failure::a_failed_append_leaves_nothing(&make()).await.then_some("failed append"));
    run
}
