//! The tools of a session.

use std::collections::BTreeMap;
use std::sync::Arc;

use longhaul_state::protocol::ApprovalPolicy;
use longhaul_transport::request::ToolList;

use super::{Effect, Tool, ToolForm, ToolSpec};
use crate::BuildError;

/// The longest name of a tool, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// Tools by their names, and as a model is told of them. Cloning shares.
#[derive(Clone, Default)]
pub struct ToolSet {
    by_name: Arc<BTreeMap<String, Entry>>,
    list: ToolList,
}

#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) tool: Arc<dyn Tool>,
    pub(crate) form: ToolForm,
}

impl ToolSet {
    /// A set of `tools`, which the model is shown in this order.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if a name is not allowed or there twice, if a schema is not one of an object,
    /// or if a call would have to ask for approval under `policy`.
    pub fn new(tools: &[Arc<dyn Tool>], policy: ApprovalPolicy) -> Result<Self, BuildError> {
        let mut by_name = BTreeMap::new();
        let mut specs = Vec::with_capacity(tools.len());
        for tool in tools {
            let spec = tool.spec();
            check(&spec)?;
            if may_ask(&**tool, policy) {
                return Err(BuildError::NobodyApproves(spec.name));
            }
            let entry = Entry { tool: Arc::clone(tool), form: spec.form.clone() };
            if by_name.insert(spec.name.clone(), entry).is_some() {
                return Err(BuildError::DuplicateTool(spec.name));
            }
            specs.push(spec);
        }
        Ok(Self { by_name: Arc::new(by_name), list: ToolList::new(&specs) })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        self.by_name.get(name)
    }

    /// The first tool that would have to ask under `policy`.
    pub(crate) fn asks_under(&self, policy: ApprovalPolicy) -> Option<&str> {
        let asks = |(_, entry): &(&String, &Entry)| may_ask(&*entry.tool, policy);
        Some(self.by_name.iter().find(asks)?.0)
    }

    pub(crate) fn list(&self) -> ToolList {
        self.list.clone()
    }

    pub(crate) fn effects(&self) -> BTreeMap<String, Effect> {
        let effect = |(name, entry): (&String, &Entry)| (name.clone(), entry.tool.effect());
        self.by_name.iter().map(effect).collect()
    }
}

fn may_ask(tool: &dyn Tool, policy: ApprovalPolicy) -> bool {
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

impl std::fmt::Debug for ToolSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ToolSet").field("names", &self.by_name.keys()).finish_non_exhaustive()
    }
}
