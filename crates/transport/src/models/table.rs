//! Prefixes of slugs, and which of them counts.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::builtin::ROWS;
use super::{ContextWindow, ModelInfo, WindowConfig};

/// What is known of models, by prefixes of their slugs. Of the prefixes that a slug begins with the
/// longest counts, alone; case matters. Cloning shares. Default: [`builtin`](Self::builtin).
///
/// As JSON it is one object, `{"<prefix>": {<fields of ModelInfo>}}`. What is read from JSON holds
/// those rows and no others; [`with_all`](Self::with_all) puts them over a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelTable(Arc<BTreeMap<Cow<'static, str>, ModelInfo>>);

impl ModelTable {
    /// A table that knows nothing.
    pub fn empty() -> Self {
        Self(Arc::default())
    }

    /// OpenAI's models as of this version.
    pub fn builtin() -> Self {
        let rows = ROWS.iter().map(|(prefix, info)| (Cow::Borrowed(*prefix), *info));
        Self(Arc::new(rows.collect()))
    }

    /// The same table with a row more, in place of the row with the same prefix if there is one. It
    /// counts for every slug that begins with `prefix` and with no longer prefix of the table.
    #[must_use]
    pub fn with(mut self, prefix: impl Into<String>, info: ModelInfo) -> Self {
        Arc::make_mut(&mut self.0).insert(Cow::Owned(prefix.into()), info);
        self
    }

    /// The same table with all rows of `other`, in place of those with the same prefixes.
    #[must_use]
    pub fn with_all(mut self, other: &Self) -> Self {
        let rows = other.0.iter().map(|(prefix, info)| (prefix.clone(), *info));
        Arc::make_mut(&mut self.0).extend(rows);
        self
    }

    /// What is known of the model with this slug; of a slug that no prefix begins, nothing.
    pub fn find(&self, slug: &str) -> ModelInfo {
        longest(slug, self.0.iter().map(|(prefix, info)| (&**prefix, info)))
    }

    /// The context window of the model with this slug: what is configured, else what its server
    /// said (`learned`, in tokens), else what the table knows, else
    /// [`DEFAULT_CONTEXT_WINDOW`](super::DEFAULT_CONTEXT_WINDOW).
    pub fn window(&self, slug: &str, config: WindowConfig, learned: Option<u64>) -> ContextWindow {
        ContextWindow::resolve(&self.find(slug), config, learned)
    }
}

impl Default for ModelTable {
    fn default() -> Self {
        Self::builtin()
    }
}

/// What the built-in table knows, without making one.
pub(crate) fn known(slug: &str) -> ModelInfo {
    longest(slug, ROWS.iter().map(|(prefix, info)| (*prefix, info)))
}

fn longest<'a>(slug: &str, rows: impl Iterator<Item = (&'a str, &'a ModelInfo)>) -> ModelInfo {
    let matching = rows.filter(|(prefix, _)| slug.starts_with(prefix));
    matching.max_by_key(|(prefix, _)| prefix.len()).map(|(_, info)| *info).unwrap_or_default()
}

impl Serialize for ModelTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_ref().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ModelTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Rows)
    }
}

/// Reads rows, and refuses a prefix that is there twice: one of the two would go unread.
struct Rows;

impl<'de> Visitor<'de> for Rows {
    type Value = ModelTable;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of model prefixes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ModelTable, A::Error> {
        let mut rows = BTreeMap::new();
        while let Some((prefix, info)) = map.next_entry::<String, ModelInfo>()? {
            if rows.insert(Cow::Owned(prefix.clone()), info).is_some() {
                return Err(A::Error::custom(format_args!("prefix `{prefix}` is there twice")));
            }
        }
        Ok(ModelTable(Arc::new(rows)))
    }
}
