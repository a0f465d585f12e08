//! Do the calls and outputs of a request's `input` pair up, does a request continue the one before it ([`prefix`]),
//! does a whole session keep its promises ([`session`]), and does its log after a crash ([`log`])?
//!
//! The rules of pairing, as strict servers apply them:
//! 1. No call and no output has an empty call id.
//! 2. Every output answers a call *earlier* in the same input: `function_call_output` a `function_call` or a
//!    `local_shell_call`, `custom_tool_call_output` a `custom_tool_call`, `local_shell_call_output` a
//!    `local_shell_call`.
//! 3. Every such call has exactly one output.
//!
//! Ids may be used again: an output answers the nearest earlier call of its id that is still unanswered.
//! A `local_shell_call` or `local_shell_call_output` without `call_id` goes by its `id`. All other items are ignored.

pub mod log;
mod prefix;
pub mod session;

use std::collections::HashMap;
use std::fmt;

use serde_json::Value;

pub use prefix::prefix;

/// Checks every call and output of `input`.
///
/// # Errors
///
/// All violations, in the order of their items.
///
/// # Example
///
/// ```
/// use longhaul_testkit::check::pairing;
/// use serde_json::json;
///
/// let call = json!({"type": "function_call", "call_id": "a", "name": "ls", "arguments": "{}"});
/// let output = json!({"type": "function_call_output", "call_id": "a", "output": "ok"});
/// assert_eq!(pairing(&[call.clone(), output]), Ok(()));
/// assert!(pairing(&[call]).is_err());
/// ```
pub fn pairing(input: &[Value]) -> Result<(), Vec<Violation>> {
    let mut calls: HashMap<&str, Vec<Call>> = HashMap::new();
    let mut violations = Vec::new();
    for (index, item) in input.iter().enumerate() {
        let Some(kind) = ItemKind::of(item) else {
            continue;
        };
        let call_id = call_id(item, kind);
        if call_id.is_empty() {
            violations.push(Violation::EmptyCallId { index, kind });
        } else if kind.is_output() {
            let earlier = calls.entry(call_id).or_default();
            if !answer(earlier, kind) {
                violations.push(unpaired(input, index, kind, earlier));
            }
        } else {
            calls.entry(call_id).or_default().push(Call { index, kind, answered: false });
        }
    }
    violations.extend(unanswered(&calls));
    violations.sort_by_key(Violation::index);
    if violations.is_empty() { Ok(()) } else { Err(violations) }
}

/// One broken rule. `index` counts the items of the input from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A call or an output without an id.
    #[error("input[{index}]: this {kind} has an empty call id.")]
    EmptyCallId {
        /// Where the item is.
        index: usize,
        /// What the item is.
        kind: ItemKind,
    },
    /// An output whose call is nowhere in the input.
    #[error("input[{index}]: this {kind} answers call `{call_id}`, which is not in the input.")]
    OutputWithoutCall {
        /// Where the output is.
        index: usize,
        /// The id that it names.
        call_id: String,
        /// What the output is.
        kind: ItemKind,
    },
    /// An output whose call comes only after it.
    #[error("input[{index}]: this {kind} comes before its call `{call_id}`.")]
    OutputBeforeCall {
        /// Where the output is.
        index: usize,
        /// The id that it names.
        call_id: String,
        /// What the output is.
        kind: ItemKind,
    },
    /// An output whose id belongs to a call of the other kind, say a custom tool's.
    #[error("input[{index}]: this {kind} answers call `{call_id}`, which is a {call_kind}.")]
    OutputOfOtherKind {
        /// Where the output is.
        index: usize,
        /// The id that it names.
        call_id: String,
        /// What the output is.
        kind: ItemKind,
        /// What the call is.
        call_kind: ItemKind,
    },
    /// An output whose call already has one.
    #[error(
        "input[{index}]: this {kind} is one more output of call `{call_id}`, which already has one."
    )]
    SecondOutput {
        /// Where the surplus output is.
        index: usize,
        /// The id that it names.
        call_id: String,
        /// What the output is.
        kind: ItemKind,
    },
    /// A call that no later item answers.
    #[error("input[{index}]: this {kind} `{call_id}` has no output.")]
    CallWithoutOutput {
        /// Where the call is.
        index: usize,
        /// Its id.
        call_id: String,
        /// What the call is.
        kind: ItemKind,
    },
}

impl Violation {
    /// Position of the offending item in the input, from 0.
    pub fn index(&self) -> usize {
        match self {
            Self::EmptyCallId { index, .. }
            | Self::OutputWithoutCall { index, .. }
            | Self::OutputBeforeCall { index, .. }
            | Self::OutputOfOtherKind { index, .. }
            | Self::SecondOutput { index, .. }
            | Self::CallWithoutOutput { index, .. } => *index,
        }
    }
}

/// The item types that take part in pairing; displayed as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ItemKind {
    /// `function_call`
    FunctionCall,
    /// `local_shell_call`
    LocalShellCall,
    /// `custom_tool_call`
    CustomToolCall,
    /// `function_call_output`
    FunctionCallOutput,
    /// `custom_tool_call_output`
    CustomToolCallOutput,
    /// `local_shell_call_output`
    LocalShellCallOutput,
}

impl ItemKind {
    const ALL: [Self; 6] = [
        Self::FunctionCall,
        Self::LocalShellCall,
        Self::CustomToolCall,
        Self::FunctionCallOutput,
        Self::CustomToolCallOutput,
        Self::LocalShellCallOutput,
    ];

    fn of(item: &Value) -> Option<Self> {
        let name = item.get("type")?.as_str()?;
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::FunctionCall => "function_call",
            Self::LocalShellCall => "local_shell_call",
            Self::CustomToolCall => "custom_tool_call",
            Self::FunctionCallOutput => "function_call_output",
            Self::CustomToolCallOutput => "custom_tool_call_output",
            Self::LocalShellCallOutput => "local_shell_call_output",
        }
    }

    fn is_output(self) -> bool {
        matches!(
            self,
            Self::FunctionCallOutput | Self::CustomToolCallOutput | Self::LocalShellCallOutput
        )
    }

    fn answers(self, call: Self) -> bool {
        match self {
            Self::FunctionCallOutput => matches!(call, Self::FunctionCall | Self::LocalShellCall),
            Self::CustomToolCallOutput => call == Self::CustomToolCall,
            Self::LocalShellCallOutput => call == Self::LocalShellCall,
            _ => false,
        }
    }
}

impl fmt::Display for ItemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A call that an output may answer; the calls of one id lie together.
struct Call {
    index: usize,
    kind: ItemKind,
    answered: bool,
}

fn call_id(item: &Value, kind: ItemKind) -> &str {
    let field = |name| item.get(name).and_then(Value::as_str).unwrap_or_default();
    match (field("call_id"), kind) {
        ("", ItemKind::LocalShellCall | ItemKind::LocalShellCallOutput) => field("id"),
        (call_id, _) => call_id,
    }
}

/// Marks the nearest unanswered call as answered; false if there is none.
fn answer(earlier: &mut [Call], output: ItemKind) -> bool {
    let call = earlier.iter_mut().rev().find(|call| !call.answered && output.answers(call.kind));
    call.map(|call| call.answered = true).is_some()
}

/// Why the output at `index` has no call; `earlier` are the calls of its id before it.
fn unpaired(input: &[Value], index: usize, kind: ItemKind, earlier: &[Call]) -> Violation {
    let call_id = call_id(&input[index], kind).to_owned();
    if earlier.iter().any(|call| kind.answers(call.kind)) {
        return Violation::SecondOutput { index, call_id, kind };
    }
    if comes_later(&input[index..], &call_id, kind) {
        return Violation::OutputBeforeCall { index, call_id, kind };
    }
    match earlier.last() {
        Some(call) => Violation::OutputOfOtherKind { index, call_id, kind, call_kind: call.kind },
        None => Violation::OutputWithoutCall { index, call_id, kind },
    }
}

fn comes_later(rest: &[Value], id: &str, output: ItemKind) -> bool {
    rest.iter().any(|item| {
        ItemKind::of(item).is_some_and(|kind| output.answers(kind) && call_id(item, kind) == id)
    })
}

fn unanswered<'a>(calls: &'a HashMap<&str, Vec<Call>>) -> impl Iterator<Item = Violation> + 'a {
    calls.iter().flat_map(|(call_id, calls)| {
        calls.iter().filter(|call| !call.answered).map(|call| Violation::CallWithoutOutput {
            index: call.index,
            call_id: (*call_id).to_owned(),
            kind: call.kind,
        })
    })
}

#[cfg(test)]
mod tests;
