//! Schemas that a server holds the model to, of tools and of answers.

use std::sync::Arc;

use async_trait::async_trait;
use longhaul::output::{AnswerError, read, strict_schema_of};
use longhaul::tool::{Tool, ToolCall, ToolContext, ToolForm, ToolOutput, ToolSpec, tool};
use longhaul::{BuildError, Input};
use longhaul_testkit::model::ScriptedModel;
use longhaul_testkit::sse::ResponseBuilder;
use serde_json::{Value, json};

use crate::support::{items, scripted};

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Journey {
    to: String,
    via: Option<String>,
    /// Neither null nor left out; its default is not in the schema, because it cannot be written.
    #[serde(default)]
    stops: Vec<Stop>,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Stop {
    at: String,
}

async fn travel(Journey { to, via, stops }: Journey) -> Result<String, std::io::Error> {
    let stops: Vec<_> = stops.into_iter().map(|stop| stop.at).collect();
    Ok(format!("{to} {via:?} {stops:?}"))
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Anything {
    #[serde(rename = "it")]
    _it: Value,
}

async fn accept(_: Anything) -> Result<String, std::io::Error> {
    Ok("fine".into())
}

/// A tool whose schema is known at run time only.
struct Given {
    parameters: Value,
    is_strict: bool,
}

#[async_trait]
impl Tool for Given {
    fn spec(&self) -> ToolSpec {
        let mut spec = ToolSpec::function("given", "Given.", self.parameters.clone());
        if let ToolForm::Function { strict, .. } = &mut spec.form {
            *strict = self.is_strict;
        }
        spec
    }

    async fn call(&self, _: ToolCall, _: ToolContext) -> ToolOutput {
        ToolOutput::text("fine")
    }
}

#[tokio::test]
async fn a_strict_tool_is_told_with_a_strict_schema_and_others_as_they_are() {
    let parameters =
        json!({"type": "object", "properties": {"a": {"type": "string", "title": "A"}}});
    let given = |is_strict| Given { parameters: parameters.clone(), is_strict };
    let arguments = json!({"to": "Oslo", "via": null, "stops": [{"at": "Hamar"}]}).to_string();
    let call = ResponseBuilder::new().call("c1", "travel", &arguments);
    let model = ScriptedModel::new().respond(call).text("There.").text("Yes.");
    let agent = scripted(&model)
        .tool(tool("travel", "Travels.", travel).strict())
        .tool(given(true))
        .build()
        .unwrap();
    let session = agent.session().start().await.unwrap();
    session.prompt("go").await.unwrap().await.unwrap();
    let loose: [Arc<dyn Tool>; 2] =
        [Arc::new(tool("accept", "Accepts.", accept)), Arc::new(given(false))];
    session.set_tools(&loose).await.unwrap();
    session.prompt("more").await.unwrap().await.unwrap();

    let told = |request: usize| {
        let tools = model.requests()[request].body["tools"].clone();
        let facts = |tool: &Value| (tool["strict"] == true, tool["parameters"].clone());
        tools.as_array().unwrap().iter().map(facts).collect::<Vec<_>>()
    };
    let journey = json!({
        "type": "object",
        "properties": {
            "to": {"type": "string"},
            "via": {"type": ["string", "null"]},
            "stops": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"at": {"type": "string"}},
                    "required": ["at"],
                    "additionalProperties": false,
                },
                "description": "Neither null nor left out; its default is not in the schema, because \
                                it cannot be written.",
            },
        },
        "required": told(0)[0].1["required"],
        "additionalProperties": false,
    });
    let strict = json!({
        "type": "object",
        "properties": {"a": {"type": ["string", "null"]}},
        "required": ["a"],
        "additionalProperties": false,
    });
    let anything = json!({
        "title": "Anything",
        "type": "object",
        "properties": {"it": true},
        "required": ["it"],
    });
    assert_eq!(told(0), [(true, journey), (true, strict)]);
    assert_eq!(told(2), [(false, anything), (false, parameters)]);
    assert_eq!(items(&model.requests()[1].input())[2], "output c1 Oslo None [\"Hamar\"]");
}

#[tokio::test]
async fn a_tool_that_cannot_be_strict_is_refused_before_a_session_opens() {
    let tuple = json!({"type": "object", "properties": {"a": {"prefixItems": []}}});
    let given = |is_strict| Given { parameters: tuple.clone(), is_strict };
    let accept = || tool("accept", "Accepts.", accept);
    let model = ScriptedModel::new();
    let table = [
        (
            scripted(&model).tool(accept().strict()).build().err().unwrap(),
            "tool `accept` cannot be strict: schema, at `properties.it`: strict servers want to know \
             the type of every value: say what it may be",
        ),
        (
            scripted(&model).tool(given(true)).build().err().unwrap(),
            "tool `given` cannot be strict: schema, at `properties.a.prefixItems`: tuples are not \
             supported by strict servers: use a struct",
        ),
    ];
    for (error, message) in table {
        assert_eq!(error.to_string(), message);
        assert!(matches!(error, BuildError::StrictSchema { .. }));
    }
    let agent = scripted(&model).tool(accept()).tool(given(false)).build().unwrap();
    let session = agent.session().start().await.unwrap();
    let error = session.set_tools(&[Arc::new(given(true))]).await.unwrap_err();
    assert!(matches!(error, BuildError::StrictSchema { tool, .. } if tool == "given"));
}

#[tokio::test]
async fn an_answer_is_read_as_its_type() {
    let model = ScriptedModel::new()
        .text("{\"to\":\"Oslo\",\"via\":null,\"stops\":[]}")
        .text("To Oslo, I think.");
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    let schema = strict_schema_of::<Journey>().unwrap();
    let mut answers = Vec::new();
    for _ in 0..2 {
        let input = Input::from("Where to?").output_schema(schema.clone());
        let result = session.prompt(input).await.unwrap().await.unwrap();
        answers.push(read::<Journey>(&result.last_message.unwrap()));
    }
    let [Ok(Journey { to, via: None, stops }), Err(AnswerError::NotJson(_))] = answers.as_slice()
    else {
        panic!("a journey, and prose");
    };
    assert_eq!((to.as_str(), stops.len()), ("Oslo", 0));
    assert_eq!(model.requests()[0].body["text"]["format"]["schema"], schema);
}
