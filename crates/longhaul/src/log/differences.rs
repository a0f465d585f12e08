//! What differs between a session as it was left and as it is opened again.

use std::collections::BTreeMap;

use longhaul_rollout::Replay;
use longhaul_state::Surface;
use longhaul_state::protocol::Settings;
use serde_json::value::RawValue;

/// What a session had when it was left, as far as its log says.
pub(crate) struct Left {
    settings: Option<Settings>,
    pub(super) surface: Option<Surface>,
    /// Who served its model when it began.
    provider: Option<String>,
    /// What the log says that cannot be read, a sentence each.
    pub(super) unread: Vec<String>,
    /// What the log says of what it worked with is in that.
    has_unread_surface: bool,
}

impl Left {
    pub(super) fn of(replay: &Replay, settings: Option<Settings>) -> Self {
        let read = |json: &RawValue| serde_json::from_str::<Surface>(json.get()).ok();
        let surface = replay.surface.as_deref().and_then(read);
        let provider = replay.meta.as_ref().and_then(|meta| meta.model_provider.clone());
        let has_unread_surface = replay.surface.is_some() && surface.is_none();
        let sentence = "which tools and instructions the session had cannot be read; approvals for its \
                        length are over";
        let unread = has_unread_surface.then(|| sentence.to_owned()).into_iter().collect();
        Self { settings, surface, provider, unread, has_unread_surface }
    }

    /// Whether tools are other ones than those that calls were approved for, as far as their definitions
    /// tell; or nobody can tell.
    pub(crate) fn has_other_tools(&self, surface: &Surface) -> bool {
        self.has_unread_surface
            || self.surface.as_ref().is_some_and(|left| left.tools != surface.tools)
    }

    /// What differs now, a sentence each, behind what cannot be read. What the log does not say differs in
    /// nothing.
    pub(crate) fn differences(&self, settings: &Settings, surface: &Surface) -> Vec<String> {
        let mut differences = self.unread.clone();
        if let Some(left) = &self.settings {
            differences.extend(in_settings(left, settings));
        }
        let provider = match &self.surface {
            Some(left) => left.provider.as_ref(),
            None => self.provider.as_ref(),
        };
        if let (Some(left), Some(now)) = (provider, &surface.provider) {
            differences.extend(value("provider", Some(left), Some(now)));
        }
        if let Some(left) = &self.surface {
            differences.extend(in_instructions(left, surface));
            differences.extend(in_tools("tool", &left.tools, &surface.tools));
            differences.extend(in_tools("hosted tool", &left.hosted, &surface.hosted));
        }
        differences
    }
}

/// What a change of settings can change.
fn in_settings(left: &Settings, now: &Settings) -> impl Iterator<Item = String> {
    let policy = |it: &Settings| Some(it.approval_policy.as_str().to_owned());
    let folder = |it: &Settings| it.cwd.as_ref().map(|cwd| cwd.to_string_lossy().into_owned());
    let effort = |it: &Settings| it.reasoning.as_ref()?.effort.clone();
    let summary = |it: &Settings| it.reasoning.as_ref()?.summary.clone();
    let differences = [
        value("model", Some(&left.model), Some(&now.model)),
        value("effort", effort(left).as_ref(), effort(now).as_ref()),
        value("summary of reasoning", summary(left).as_ref(), summary(now).as_ref()),
        value("approval policy", policy(left).as_ref(), policy(now).as_ref()),
        value("folder", folder(left).as_ref(), folder(now).as_ref()),
    ];
    differences.into_iter().flatten()
}

/// What a value is and what it was, if that is not the same.
fn value(name: &str, left: Option<&String>, now: Option<&String>) -> Option<String> {
    let shown = |value: Option<&String>| value.map_or("not set".into(), |it| format!("`{it}`"));
    (left != now).then(|| format!("the {name} is {}; it was {}", shown(now), shown(left)))
}

fn in_instructions(left: &Surface, now: &Surface) -> Option<String> {
    let difference = match (&left.instructions, &now.instructions) {
        (None, Some(_)) => "instructions were added",
        (Some(_), None) => "the instructions are gone",
        (left, now) if left != now => "the instructions changed",
        _ => return None,
    };
    Some(difference.into())
}

/// By name: what is gone or has changed, then what is new.
fn in_tools(
    what: &str,
    left: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
) -> Vec<String> {
    let changed = left.iter().filter_map(|(name, digest)| match now.get(name) {
        None => Some(format!("{what} `{name}` is gone")),
        Some(now) => (now != digest).then(|| format!("{what} `{name}` has another definition")),
    });
    let new = now.keys().filter(|name| !left.contains_key(*name));
    changed.chain(new.map(|name| format!("{what} `{name}` is new"))).collect()
}
