//! The tools of a request, encoded once.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// What a model is told of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSpec {
    /// The name that calls carry.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// How it is called.
    pub form: ToolForm,
}

/// How a tool is called.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ToolForm {
    /// With JSON arguments.
    Function {
        /// Their JSON schema.
        parameters: Value,
        /// Whether the server holds the model to the schema.
        strict: bool,
    },
    /// With free text.
    Custom {
        /// The server's description of the text's format, if any.
        format: Option<Value>,
    },
    /// A tool that the server runs, as the server wants it written.
    Hosted(Value),
}

impl ToolSpec {
    /// A tool with JSON arguments.
    pub fn function(
        name: impl Into<String>,
        description: impl Into<String>,
        parameters: Value,
    ) -> Self {
        Self {
            name: name.into(),
            description: description.into(),
            form: ToolForm::Function { parameters, strict: false },
        }
    }

    /// A tool with free text.
    pub fn custom(name: impl Into<String>, description: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: description.into(),
            form: ToolForm::Custom { format: None },
        }
    }

    /// As a request carries it.
    pub fn to_json(&self) -> Value {
        let Self { name, description, .. } = self;
        match &self.form {
            ToolForm::Function { parameters, strict } => json!({"type": "function", "name": name,
                "description": description, "strict": strict, "parameters": parameters}),
            ToolForm::Custom { format: None } => {
                json!({"type": "custom", "name": name, "description": description})
            }
            ToolForm::Custom { format: Some(format) } => {
                json!({"type": "custom", "name": name, "description": description,
                "format": format})
            }
            ToolForm::Hosted(tool) => tool.clone(),
        }
    }
}

/// The tools of a request as JSON, in order. Cloning shares.
#[derive(Clone, Default)]
pub struct ToolList(Option<Arc<Encoded>>);

struct Encoded {
    json: Box<RawValue>,
    /// The name of the first tool that takes free text.
    custom: Option<String>,
}

impl ToolList {
    /// Encodes `tools`.
    pub fn new<'a>(tools: impl IntoIterator<Item = &'a ToolSpec>) -> Self {
        let tools: Vec<Value> = tools.into_iter().map(ToolSpec::to_json).collect();
        if tools.is_empty() {
            return Self(None);
        }
        let custom = tools.iter().find(|tool| tool["type"] == "custom");
        let custom = custom.map(|tool| tool["name"].as_str().unwrap_or_default().to_owned());
        // A list of JSON values always serialises.
        let json = serde_json::value::to_raw_value(&tools).ok();
        Self(json.map(|json| Arc::new(Encoded { json, custom })))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The list as JSON.
    pub fn as_json(&self) -> &str {
        self.0.as_ref().map_or("[]", |tools| tools.json.get())
    }

    /// The name of the first tool that takes free text, which not every server knows.
    pub fn custom(&self) -> Option<&str> {
        self.0.as_ref()?.custom.as_deref()
    }
}

impl Serialize for ToolList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(tools) => tools.json.serialize(serializer),
            None => serializer.collect_seq::<[(); 0]>([]),
        }
    }
}
