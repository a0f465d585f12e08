//! The tools of a session.

use std::collections::BTreeMap;
use std::sync::Arc;

use longhaul_state::protocol::ApprovalPolicy;
use longhaul_transport::provider::Features;
use longhaul_transport::request::ToolList;
use serde_json::Value;

use super::{Handling, Tool, ToolForm, ToolSpec};
use crate::BuildError;
use crate::output::strict;

/// The longest name of a tool, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// Tools by their names, and as a model is told of them. Cloning shares.
#[derive(Clone, Default)]
pub struct ToolSet {
    by_name: Arc<BTreeMap<String, Entry>>,
    specs: Arc<[ToolSpec]>,
    list: ToolList,
    /// How calls of each tool are handled.
    handling: BTreeMap<String, Handling>,
}

#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) tool: Arc<dyn Tool>,
    pub(crate) form: ToolForm,
}

impl ToolSet {
    /// A set of `tools`, which the model is shown in this order, those that are strict with the schema
    /// that [`strict`] makes of theirs.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if a name is not allowed or there twice, or if a schema is not one of an object or
    /// cannot be strict though it has to.
    pub fn new(tools: &[Arc<dyn Tool>]) -> Result<Self, BuildError> {
        let mut by_name = BTreeMap::new();
        let mut specs = Vec::with_capacity(tools.len());
        for tool in tools {
            let mut spec = tool.spec();
            check(&spec)?;
            make_strict(&mut spec)?;
            let entry = Entry { tool: Arc::clone(tool), form: spec.form.clone() };
            if by_name.insert(spec.name.clone(), entry).is_some() {
                return Err(BuildError::DuplicateTool(spec.name));
            }
            specs.push(spec);
        }
        let list = ToolList::new(&specs);
        let handling = handling(&by_name);
        Ok(Self { handling, by_name: Arc::new(by_name), specs: specs.into(), list })
    }

    /// The same set with tools that the server runs, shown behind the others as the server wants
    /// them written.
    ///
    /// # Errors
    ///
    /// [`BuildError::HostedTool`] if one is no object with a `type`, or of a type whose calls the
    /// server leaves to the client.
    pub fn with_hosted(mut self, hosted: &[Value]) -> Result<Self, BuildError> {
        let mut specs = self.specs.to_vec();
        for (index, tool) in hosted.iter().enumerate() {
            check_hosted(tool)
                .map_err(|problem| BuildError::HostedTool { position: index + 1, problem })?;
            let form = ToolForm::Hosted(tool.clone());
            specs.push(ToolSpec { name: String::new(), description: String::new(), form });
        }
        self.list = ToolList::new(&specs);
        self.specs = specs.into();
        Ok(self)
    }

    /// The same set without tools that the server runs.
    pub(crate) fn without_hosted(mut self) -> Self {
        // Those have no name here.
        let ours = self.specs.iter().filter(|spec| !spec.name.is_empty());
        let specs: Vec<ToolSpec> = ours.cloned().collect();
        self.list = ToolList::new(&specs);
        self.specs = specs.into();
        self
    }

    /// Whether a server with these features knows the tools.
    pub(crate) fn check_features(&self, features: Features) -> Result<(), BuildError> {
        match self.list.custom() {
            Some(name) if !features.custom_tools => Err(BuildError::CustomTool(name.to_owned())),
            _ => Ok(()),
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        self.by_name.get(name)
    }

    /// The first tool that would have to ask under `policy`.
    pub(crate) fn asks_under(&self, policy: ApprovalPolicy) -> Option<&str> {
        let asks = |(_, entry): &(&String, &Entry)| may_ask(&*entry.tool, policy);
        Some(self.by_name.iter().find(asks)?.0)
    }

    /// What the model is told of each, those that the server runs behind the others.
    pub(crate) fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    pub(crate) fn list(&self) -> ToolList {
        self.list.clone()
    }

    /// How calls of each tool are handled, as the tools said when the set was made.
    pub(crate) fn handling(&self) -> BTreeMap<String, Handling> {
        self.handling.clone()
    }
}

fn handling(by_name: &BTreeMap<String, Entry>) -> BTreeMap<String, Handling> {
    let handling = |(name, entry): (&String, &Entry)| {
        let (parallel, may_run_again) = (entry.tool.parallel(), entry.tool.may_run_again());
        (name.clone(), Handling { parallel, may_run_again })
    };
    by_name.iter().map(handling).collect()
}

fn check_hosted(tool: &Value) -> Result<(), &'static str> {
    match tool["type"].as_str() {
        None | Some("") => Err("it must be a JSON object with a `type`"),
        Some(
            "function"
            | "custom"
            | "local_shell"
            | "shell"
            | "apply_patch"
            | "computer_use_preview"
            | "computer",
        ) => Err("its calls are answered by the client: implement `Tool` for it"),
        Some(_) => Ok(()),
    }
}

pub(crate) fn may_ask(tool: &dyn Tool, policy: ApprovalPolicy) -> bool {
    match policy {
        ApprovalPolicy::Never => false,
        ApprovalPolicy::OnRequest => tool.needs_approval(),
        _ => true,
    }
}

fn check(spec: &ToolSpec) -> Result<(), BuildError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let name = &spec.name;
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(allowed) {
        return Err(BuildError::ToolName(name.chars().take(MAX_NAME_BYTES).collect()));
    }
    match &spec.form {
        ToolForm::Function { parameters, .. } if parameters["type"] != "object" => {
            Err(BuildError::ToolSchema(name.clone()))
        }
        _ => Ok(()),
    }
}

/// Schemas that a server would refuse are refused here.
fn make_strict(spec: &mut ToolSpec) -> Result<(), BuildError> {
    if let ToolForm::Function { parameters, strict: true } = &mut spec.form {
        *parameters = strict(parameters.clone())
            .map_err(|error| BuildError::StrictSchema { tool: spec.name.clone(), error })?;
    }
    Ok(())
}

impl std::fmt::Debug for ToolSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ToolSet").field("names", &self.by_name.keys()).finish_non_exhaustive()
    }
}
