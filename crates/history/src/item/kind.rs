//! What an item is, read from its outline.

use std::borrow::Cow;

use serde::de::value::StrDeserializer;
use serde::{Deserialize, Serialize};

use crate::json;

/// The type of an item. Types that this crate does not know are [`ItemKind::Other`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ItemKind {
    /// A message of a role.
    Message(Role),
    /// Reasoning of the model, in clear, encrypted, or both.
    Reasoning,
    /// A call of a function tool.
    FunctionCall,
    /// The output of a function tool, or of a local shell call.
    FunctionCallOutput,
    /// A call of a free-form tool.
    CustomToolCall,
    /// The output of a free-form tool.
    CustomToolCallOutput,
    /// A call of the hosted local shell.
    LocalShellCall,
    /// The output of a local shell call, in its own type.
    LocalShellCallOutput,
    /// A search that the server ran.
    WebSearchCall,
    /// A snapshot of the work tree. Internal: it never reaches a model.
    GhostSnapshot,
    /// A compaction that the server made.
    Compaction,
    /// A type that this crate does not know, or an item that lacks what its type must have.
    Other,
}

/// Who speaks in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// The user, or a context message in the user's place.
    User,
    /// The model.
    Assistant,
    /// The developer.
    Developer,
    /// The system.
    System,
    /// A role that this crate does not know.
    #[serde(other)]
    Other,
}

/// The three kinds of call that a client answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallKind {
    /// `function_call`, answered by `function_call_output`.
    Function,
    /// `custom_tool_call`, answered by `custom_tool_call_output`.
    Custom,
    /// `local_shell_call`, answered by `function_call_output` or `local_shell_call_output`.
    LocalShell,
}

/// The part that an item plays in the pairing of calls and outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallRole<'a> {
    Call(CallKind, &'a str),
    Output(ItemKind, &'a str),
}

impl CallKind {
    /// Whether an output of type `output` answers a call of this kind.
    pub(crate) fn is_answered_by(self, output: ItemKind) -> bool {
        match self {
            Self::Function => output == ItemKind::FunctionCallOutput,
            Self::Custom => output == ItemKind::CustomToolCallOutput,
            Self::LocalShell => {
                matches!(output, ItemKind::FunctionCallOutput | ItemKind::LocalShellCallOutput)
            }
        }
    }
}

/// The outline of an item: what pairing and filtering look at.
pub(super) struct Head {
    pub(super) kind: ItemKind,
    id: Id,
    call_id: Id,
}

/// An id of an item: where in the item's JSON it stands, so that it is not held twice, or itself if it
/// has escapes there. No id is an empty one.
#[derive(Clone)]
enum Id {
    At { start: u32, len: u32 },
    Own(Box<str>),
}

impl Id {
    /// The id that was read from `json`.
    fn of(id: &str, json: &str) -> Self {
        let inside = || {
            let start = id.as_ptr().addr().checked_sub(json.as_ptr().addr())?;
            json.get(start..start.checked_add(id.len())?)?;
            Some(Self::At { start: start.try_into().ok()?, len: id.len().try_into().ok()? })
        };
        inside().unwrap_or_else(|| Self::Own(id.into()))
    }

    fn none() -> Self {
        Self::At { start: 0, len: 0 }
    }

    fn text<'a>(&'a self, json: &'a str) -> Option<&'a str> {
        let text = match self {
            Self::At { start, len } => json.get(*start as usize..)?.get(..*len as usize)?,
            Self::Own(text) => text,
        };
        Some(text).filter(|text| !text.is_empty())
    }
}

/// The fields that tell types apart and that each type must have.
#[derive(Default)]
struct Outline<'a> {
    type_name: Option<Cow<'a, str>>,
    role: Option<Role>,
    id: Option<Cow<'a, str>>,
    call_id: Option<Cow<'a, str>>,
    content: Option<()>,
    name: Option<()>,
    arguments: Option<()>,
    input: Option<()>,
    output: Option<()>,
}

impl<'a> Outline<'a> {
    /// Reads the outline of one JSON object; `None` if a field that matters stands in it twice, or
    /// is not of its type.
    fn read(json: &'a str) -> Option<Self> {
        let mut outline = Self::default();
        let mut seen = 0_u16;
        for (key, value) in json::fields(json)? {
            let Some(place) = OUTLINE.iter().position(|name| *name == key) else {
                continue;
            };
            if seen & (1 << place) != 0 {
                return None;
            }
            seen |= 1 << place;
            if value != "null" {
                outline.take(&key, value)?;
            }
        }
        Some(outline)
    }

    fn take(&mut self, key: &str, value: &'a str) -> Option<()> {
        match key {
            "type" => self.type_name = Some(json::string(value)?),
            "role" => self.role = role(&json::string(value)?),
            "id" => self.id = Some(json::string(value)?),
            "call_id" => self.call_id = Some(json::string(value)?),
            "content" => self.content = Some(()),
            "name" => self.name = Some(()),
            "arguments" => self.arguments = Some(()),
            "input" => self.input = Some(()),
            _ => self.output = Some(()),
        }
        Some(())
    }
}

const OUTLINE: [&str; 9] =
    ["type", "role", "id", "call_id", "content", "name", "arguments", "input", "output"];

/// The role of this name, by the names that are written.
fn role(name: &str) -> Option<Role> {
    Role::deserialize(StrDeserializer::<serde::de::value::Error>::new(name)).ok()
}

impl Head {
    /// Reads the outline of one JSON object that is text throughout.
    pub(super) fn read(json: &str) -> Self {
        let Some(outline) = Outline::read(json) else {
            return Self { kind: ItemKind::Other, id: Id::none(), call_id: Id::none() };
        };
        let kind = outline.kind();
        let read =
            |id: Option<Cow<'_, str>>| id.filter(|id| !id.is_empty()).map(|id| Id::of(&id, json));
        let id = read(outline.id);
        let by_own_id = match kind {
            ItemKind::LocalShellCall | ItemKind::LocalShellCallOutput => id.clone(),
            _ => None,
        };
        let call_id = read(outline.call_id).or(by_own_id).unwrap_or_else(Id::none);
        Self { kind, call_id, id: id.unwrap_or_else(Id::none) }
    }

    /// `json` is that from which it was read, also before it was mended: places are the same.
    pub(super) fn id<'a>(&'a self, json: &'a str) -> Option<&'a str> {
        self.id.text(json)
    }

    pub(super) fn call_id<'a>(&'a self, json: &'a str) -> Option<&'a str> {
        self.call_id.text(json)
    }

    pub(super) fn call_role<'a>(&'a self, json: &'a str) -> Option<CallRole<'a>> {
        let id = self.call_id(json)?;
        match self.kind {
            ItemKind::FunctionCall => Some(CallRole::Call(CallKind::Function, id)),
            ItemKind::CustomToolCall => Some(CallRole::Call(CallKind::Custom, id)),
            ItemKind::LocalShellCall => Some(CallRole::Call(CallKind::LocalShell, id)),
            kind if kind.is_output() => Some(CallRole::Output(kind, id)),
            _ => None,
        }
    }
}

impl ItemKind {
    /// Whether the item answers a call.
    pub fn is_output(self) -> bool {
        matches!(
            self,
            Self::FunctionCallOutput | Self::CustomToolCallOutput | Self::LocalShellCallOutput
        )
    }

    /// The kind of call, if the item is a call that a client answers.
    pub fn call(self) -> Option<CallKind> {
        match self {
            Self::FunctionCall => Some(CallKind::Function),
            Self::CustomToolCall => Some(CallKind::Custom),
            Self::LocalShellCall => Some(CallKind::LocalShell),
            _ => None,
        }
    }
}

/// Whether an item of kind [`ItemKind::Other`] has no type, or one that it does not fit. Of a call
/// or an output a server would look for the counterpart, and refuse.
pub(super) fn is_nameless_or_known(json: &str) -> bool {
    let mut names = type_names(json).peekable();
    names.peek().is_none() || names.any(|name| name == "message" || is_call_or_output(&name))
}

/// Whether an item of kind [`ItemKind::Other`] calls itself a call that a client answers.
pub(super) fn calls_itself_a_call(json: &str) -> bool {
    type_names(json).any(|name| is_call_or_output(&name) && !name.ends_with("_output"))
}

/// The values of the field `type`, which may stand in it twice, that are text.
fn type_names(json: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let types = json::fields(json).into_iter().flatten().filter(|(key, _)| key == "type");
    types.filter_map(|(_, name)| json::string(name))
}

fn is_call_or_output(name: &str) -> bool {
    CALLS_AND_OUTPUTS.contains(&name)
}

const CALLS_AND_OUTPUTS: [&str; 6] = [
    "function_call",
    "function_call_output",
    "custom_tool_call",
    "custom_tool_call_output",
    "local_shell_call",
    "local_shell_call_output",
];

impl Outline<'_> {
    fn kind(&self) -> ItemKind {
        let (kind, is_whole) = match (self.type_name.as_deref(), self.role) {
            (Some("message") | None, Some(role)) => {
                (ItemKind::Message(role), self.content.is_some())
            }
            (Some("reasoning"), _) => (ItemKind::Reasoning, true),
            (Some("function_call"), _) => {
                (ItemKind::FunctionCall, self.name.is_some() && self.arguments.is_some())
            }
            (Some("custom_tool_call"), _) => {
                (ItemKind::CustomToolCall, self.name.is_some() && self.input.is_some())
            }
            (Some("function_call_output"), _) => {
                (ItemKind::FunctionCallOutput, self.output.is_some())
            }
            (Some("custom_tool_call_output"), _) => {
                (ItemKind::CustomToolCallOutput, self.output.is_some())
            }
            (Some("local_shell_call_output"), _) => {
                (ItemKind::LocalShellCallOutput, self.output.is_some())
            }
            (Some("local_shell_call"), _) => (ItemKind::LocalShellCall, true),
            (Some("web_search_call"), _) => (ItemKind::WebSearchCall, true),
            (Some("ghost_snapshot"), _) => (ItemKind::GhostSnapshot, true),
            (Some("compaction"), _) => (ItemKind::Compaction, true),
            _ => (ItemKind::Other, true),
        };
        if is_whole { kind } else { ItemKind::Other }
    }
}
