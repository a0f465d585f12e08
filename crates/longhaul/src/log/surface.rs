//! What a session works with besides its settings, as its log knows it.

use std::collections::BTreeMap;

use longhaul_rollout::blob_digest;
use longhaul_state::Surface;
use longhaul_transport::Provider;
use longhaul_transport::request::Instructions;

use crate::tool::{ToolForm, ToolSet, ToolSpec};

/// What a session works with that has these.
pub(crate) fn surface(
    provider: Option<&Provider>,
    instructions: Option<&Instructions>,
    tools: &ToolSet,
) -> Surface {
    let (hosted, own): (Vec<&ToolSpec>, _) =
        tools.specs().iter().partition(|spec| matches!(spec.form, ToolForm::Hosted(_)));
    let mut surface = Surface::default();
    surface.provider = provider.map(|provider| provider.name.clone());
    surface.instructions = instructions.map(|text| blob_digest(text.as_json().as_bytes()));
    surface.tools = digests(own, |spec| spec.name.clone());
    surface.hosted = digests(hosted, |spec| match &spec.form {
        ToolForm::Hosted(tool) => tool["type"].as_str().unwrap_or_default().to_owned(),
        _ => String::new(),
    });
    surface
}

/// The digest of all definitions that have a name, in whatever order they come.
fn digests(specs: Vec<&ToolSpec>, name: impl Fn(&ToolSpec) -> String) -> BTreeMap<String, String> {
    let mut named: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for spec in specs {
        named.entry(name(spec)).or_default().push(spec.to_json().to_string());
    }
    let digest = |(name, mut definitions): (String, Vec<String>)| {
        definitions.sort_unstable();
        (name, blob_digest(definitions.join("\n").as_bytes()))
    };
    named.into_iter().map(digest).collect()
}
