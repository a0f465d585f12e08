//! Which settings a session can have.

use std::path::Path;

use longhaul_state::protocol::Settings;

use crate::BuildError;
use crate::approval::Gatekeeping;
use crate::tool::ToolSet;

/// Whether a session with these tools can go by these settings.
pub(crate) fn check_settings(
    settings: &Settings,
    gatekeeping: &Gatekeeping,
    tools: &ToolSet,
) -> Result<(), BuildError> {
    check_model_and_cwd(Some(&settings.model), settings.cwd.as_deref())?;
    gatekeeping.check(tools, settings.approval_policy)
}

/// Whether a session can have this model and this folder, whatever its tools are.
pub(crate) fn check_model_and_cwd(
    model: Option<&str>,
    cwd: Option<&Path>,
) -> Result<(), BuildError> {
    if model.is_some_and(|model| model.trim().is_empty()) {
        return Err(BuildError::NoModel);
    }
    match cwd {
        Some(cwd) if !cwd.is_absolute() => Err(BuildError::RelativeCwd(cwd.to_owned())),
        Some(cwd) if cwd.to_str().is_none() => Err(BuildError::CwdNotUtf8(cwd.to_owned())),
        _ => Ok(()),
    }
}
