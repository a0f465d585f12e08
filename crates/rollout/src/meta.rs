//! Which session a log is of.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The version of the format that this crate writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;

/// The payload of a log's first record, `session_meta`.
///
/// Of another program's log, fields that are missing or not as here are left empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SessionMeta {
    /// The version of the log's format; `None` of another program's log.
    #[serde(default, deserialize_with = "lenient")]
    pub format_version: Option<u32>,
    /// The session's id, a UUID.
    pub id: String,
    /// When the session began.
    #[serde(default, deserialize_with = "lenient")]
    pub timestamp: Option<Timestamp>,
    /// The folder in which it works.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// The program that ran it.
    #[serde(default, deserialize_with = "lenient")]
    pub originator: Option<String>,
    /// Its version.
    #[serde(default, deserialize_with = "lenient")]
    pub cli_version: Option<String>,
    /// By what it was started; `unknown` in what this crate's users write.
    #[serde(default, deserialize_with = "lenient")]
    pub source: Option<String>,
    /// Who serves its model.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub model_provider: Option<String>,
    /// Where it comes from, if it is a fork.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<ForkedFrom>,
    /// Where it comes from, if another program began it.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub imported_from: Option<ImportedFrom>,
}

/// The place in another session from which a session goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkedFrom {
    /// The other session's id.
    pub id: String,
    /// Where its log was; `None` if it was in no file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The newest of its records when the fork was taken: behind that the fork knows of nothing.
    /// `None` if it had no log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordinal: Option<u64>,
}

/// The session of another program from which a session goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedFrom {
    /// The other session's id, as its log says.
    pub id: String,
    /// Where its log was; `None` if it was asked for by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl SessionMeta {
    /// That of a session which begins now, in the format of this version.
    pub fn new(id: impl Into<String>, timestamp: Timestamp) -> Self {
        Self {
            format_version: Some(FORMAT_VERSION),
            id: id.into(),
            timestamp: Some(timestamp),
            cwd: None,
            originator: Some("longhaul".into()),
            cli_version: Some(env!("CARGO_PKG_VERSION").into()),
            source: Some("unknown".into()),
            model_provider: None,
            forked_from: None,
            imported_from: None,
        }
    }
}

/// A value, or none if it is another than it should be: other programs write what they like.
fn lenient<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Lenient<T> {
        Value(T),
        Other(serde::de::IgnoredAny),
    }
    Ok(match Option::<Lenient<T>>::deserialize(deserializer)? {
        Some(Lenient::Value(value)) => Some(value),
        Some(Lenient::Other(_)) | None => None,
    })
}
