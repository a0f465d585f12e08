//! What can go wrong here.

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bridge template was not rendered. No input is known to cause it: a template with two
    /// text slots fails only if its engine does, so report it as a bug. There is no bridge; keep
    /// the conversation as it is.
    #[error("the bridge message could not be rendered")]
    Render(#[source] Box<dyn std::error::Error + Send + Sync>),
}
