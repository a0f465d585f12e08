//! Why a schema cannot be made strict.

use std::fmt;

/// A schema that no strict server takes: where, and what to write in its place. The schema's author
/// is at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaError {
    /// The keywords and names from the root to the place, with dots between them:
    /// `properties.tags.additionalProperties`. Empty: the root.
    pub path: String,
    /// What is wrong there.
    pub problem: SchemaProblem,
}

/// What strict servers do not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaProblem {
    /// The root is an enum, a list, a scalar or nullable.
    #[error("the root must be an object, and no enum: wrap it in a struct")]
    Root,
    /// An object with keys that the schema does not name.
    #[error("maps are not supported by strict servers: use a list of key and value")]
    Map,
    /// A list with a type for each position.
    #[error("tuples are not supported by strict servers: use a struct")]
    Tuple,
    /// A list without repetitions.
    #[error("sets are not supported by strict servers: use a list, and make it a set once read")]
    Set,
    /// A value of any kind.
    #[error("strict servers want to know the type of every value: say what it may be")]
    Anything,
    /// A value that cannot exist.
    #[error("no value fits this: take it out")]
    Nothing,
    /// A keyword without a counterpart.
    #[error(
        "`{0}` is not supported by strict servers: take it out, and check what is read instead"
    )]
    Keyword(&'static str),
    /// More than one schema at once.
    #[error("strict servers know no `allOf`: write one schema that says all of it")]
    AllOf,
    /// Alternatives, or a reference, together with more conditions on the same value. A flattened
    /// enum looks like that.
    #[error(
        "on strict servers `{keyword}` cannot stand beside `{beside}`: give one of them a field of \
         its own"
    )]
    Beside {
        /// The keyword at the place.
        keyword: &'static str,
        /// What else there is.
        beside: &'static str,
    },
    /// A reference to something else than the root or one of its `$defs`.
    #[error("`{0}` leads nowhere: refer to `#` or to an entry of the root's `$defs`")]
    Reference(String),
    /// `required` names something that `properties` does not list.
    #[error("`{0}` is required, but is none of the properties: list it")]
    Unlisted(String),
    /// An enum or a constant holds a list or an object.
    #[error("strict servers take strings, numbers, booleans and null as constants: use these")]
    Constant,
    /// This is no JSON schema.
    #[error("this is no JSON schema: {0}")]
    Malformed(&'static str),
    /// More than servers take.
    #[error("strict servers take at most {limit} {of}: ask for less at once")]
    TooLarge {
        /// What there is too much of.
        of: &'static str,
        /// How much may be there.
        limit: usize,
    },
}

impl SchemaError {
    /// A problem with the schema at hand.
    pub(super) fn here(problem: SchemaProblem) -> Self {
        Self { path: String::new(), problem }
    }

    /// A problem with `keyword` of the schema at hand.
    pub(super) fn at(keyword: &str, problem: SchemaProblem) -> Self {
        Self::here(problem).within(keyword)
    }

    /// The same error, seen from one step further up.
    pub(super) fn within(mut self, step: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        self.path = format!("{step}{dot}{}", self.path);
        self
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, problem } = self;
        match path.as_str() {
            "" => write!(f, "schema: {problem}"),
            path => write!(f, "schema, at `{path}`: {problem}"),
        }
    }
}

impl std::error::Error for SchemaError {}
