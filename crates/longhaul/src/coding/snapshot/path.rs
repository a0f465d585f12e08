//! Names of files as git hands them: bytes.

use std::path::{Component, Path};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A path from the root of a work tree, with `/` between its parts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct GitPath(pub(super) Vec<u8>);

impl GitPath {
    /// The path for this system.
    #[cfg(unix)]
    pub(super) fn as_path(&self) -> &Path {
        use std::os::unix::ffi::OsStrExt;
        Path::new(std::ffi::OsStr::from_bytes(&self.0))
    }

    /// The path for this system; git writes UTF-8 there.
    #[cfg(not(unix))]
    pub(super) fn as_path(&self) -> &Path {
        Path::new(std::str::from_utf8(&self.0).unwrap_or_default())
    }

    /// The same, if it stays below the root and leads into no repository's own folder.
    pub(super) fn inside(&self) -> Option<&Path> {
        stays_inside(self.as_path())
    }

    /// For people.
    pub(super) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

fn stays_inside(path: &Path) -> Option<&Path> {
    let mut components = path.components();
    let is_plain = |component: Component<'_>| match component {
        Component::Normal(name) => !name.eq_ignore_ascii_case(".git"),
        _ => false,
    };
    (path.components().next().is_some() && components.all(is_plain)).then_some(path)
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Form {
    Text(String),
    Bytes { base64: String },
}

impl Serialize for GitPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let form = match std::str::from_utf8(&self.0) {
            Ok(text) => Form::Text(text.to_owned()),
            Err(_) => Form::Bytes { base64: STANDARD.encode(&self.0) },
        };
        form.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for GitPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Form::deserialize(deserializer)? {
            Form::Text(text) => Ok(Self(text.into_bytes())),
            Form::Bytes { base64 } => STANDARD.decode(base64).map(Self).map_err(D::Error::custom),
        }
    }
}
