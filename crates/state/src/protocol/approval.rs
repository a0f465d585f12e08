//! Whether a call may run.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// What an approval holds for: one tool with one text of arguments, byte for byte.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallDigest([u8; 32]);

impl CallDigest {
    /// The digest of a call, by SHA-256: whoever makes the calls may want two to look the same.
    pub fn of(tool: &str, arguments: &str) -> Self {
        let mut hasher = Sha256::new();
        // The length keeps a name's end apart from the arguments' start.
        hasher.update((tool.len() as u64).to_le_bytes());
        hasher.update(tool);
        hasher.update(arguments);
        Self(hasher.finalize().into())
    }
}

/// 64 hexadecimal digits.
impl fmt::Display for CallDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CallDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallDigest({self})")
    }
}

impl Serialize for CallDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CallDigest {
    fn deserialize<D: Deserializer<'de>>(digest: D) -> Result<Self, D::Error> {
        let text = String::deserialize(digest)?;
        let wrong = || D::Error::custom("a digest has 64 hexadecimal digits");
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(wrong());
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = str::from_utf8(digits).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

/// A call that waits for somebody's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PendingApproval {
    /// The turn that waits.
    pub turn_id: String,
    /// The call.
    pub call_id: String,
    /// The tool.
    pub name: String,
    /// What the tool would get.
    pub arguments: String,
    /// What an approval holds for.
    pub digest: CallDigest,
    /// What an approval for the session's length is given for.
    #[serde(skip)]
    pub scope: GrantScope,
}

/// What approvals for a session's length are given for: its folder and its tools. When those change,
/// another begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GrantScope(u64);

impl GrantScope {
    pub(crate) fn end(&mut self) {
        self.0 += 1;
    }
}

impl PendingApproval {
    /// A call that waits.
    pub fn new(turn_id: String, call_id: String, name: String, arguments: String) -> Self {
        let digest = CallDigest::of(&name, &arguments);
        Self { turn_id, call_id, name, arguments, digest, scope: GrantScope::default() }
    }
}

/// Somebody's answer to an approval request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApprovalDecision {
    /// The call runs.
    Approved,
    /// The call runs, and so does every later one in the session of the same tool with the same
    /// arguments.
    ApprovedForSession,
    /// The call does not run, and the turn goes on.
    Denied {
        /// Why, for the model.
        reason: Option<String>,
    },
    /// The call does not run, and the turn is interrupted.
    Abort,
}

/// By its name in `snake_case`.
impl<'de> Deserialize<'de> for ApprovalDecision {
    fn deserialize<D: Deserializer<'de>>(decision: D) -> Result<Self, D::Error> {
        let name = String::deserialize(decision)?;
        match name.as_str() {
            "approved" => Ok(Self::Approved),
            "approved_for_session" => Ok(Self::ApprovedForSession),
            "denied" => Ok(Self::Denied { reason: None }),
            "abort" => Ok(Self::Abort),
            _ => Err(D::Error::custom(format!(
                "unknown `decision` `{name}`, expected `approved`, `approved_for_session`, `denied` \
                 or `abort`"
            ))),
        }
    }
}
