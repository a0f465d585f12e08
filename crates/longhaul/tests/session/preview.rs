//! `preview_request` gives the exact bytes of the next request, and changes nothing.

use longhaul::prelude::*;
use longhaul::state::protocol::SettingsUpdate;
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::server::{Gate, Reply, Server};
use longhaul_testkit::sse::ResponseBuilder;
use serde_json::json;

use super::support::{Probe, items, over_http, scripted};

fn inputs() -> Vec<Input> {
    let mut change = SettingsUpdate::default();
    change.model = Some("other-model".into());
    change.summary = Some("auto".into());
    vec![
        "first".into(),
        Input::from("look").image("data:image/png;base64,AAAA"),
        Input::from("as JSON").output_schema(json!({"type": "object"})),
        Input::from("with settings").settings(change),
        "and after".into(),
    ]
}

#[tokio::test]
async fn the_preview_is_what_is_sent_byte_for_byte() {
    let calls = ResponseBuilder::new().reasoning("why", Some("gAAAA")).call("c1", "echo", "{}");
    let mut replies = vec![Reply::from(calls)];
    replies.extend((0..5).map(|number| Reply::text(&format!("answer {number}"))));
    let server = Server::start(replies.into_iter().collect::<longhaul_testkit::server::Script>())
        .await
        .unwrap();
    let agent =
        over_http(&server).instructions("Be brief.").tool(Probe::echo("echo")).build().unwrap();
    let session = agent.session().start().await.unwrap();
    let (mut previews, mut sent_first) = (Vec::new(), Vec::new());
    for input in inputs() {
        let before = session.history();
        let preview = session.preview_request(input.clone()).await.unwrap();
        assert_eq!(preview, session.preview_request(input.clone()).await.unwrap());
        assert_eq!(session.history(), before);
        sent_first.push(server.requests().len());
        session.prompt(input).await.unwrap().await.unwrap();
        previews.push(preview);
    }
    let requests = server.requests();
    for (order, preview) in sent_first.into_iter().zip(&previews) {
        assert_eq!(requests[order].body, *preview, "request {order}");
    }
    server.assert_complete();
}

#[tokio::test]
async fn the_preview_has_what_an_interrupted_turn_left() {
    let gate = Gate::new("held");
    let model = ScriptedModel::new().hold(&gate).text("never").text("fine");
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    let turn = session.prompt("a").await.unwrap();
    gate.reached().await;
    let steered = session.steer("b").await.unwrap();
    let withdrawn = session.steer("not this").await.unwrap();
    withdrawn.cancel();
    assert!(session.interrupt());
    assert!(turn.await.unwrap().is_interrupted());
    let preview = session.preview_request("c").await.unwrap();
    session.prompt("c").await.unwrap().await.unwrap();
    let sent = &model.requests()[1];
    assert_eq!(items(&sent.input()), ["user a", "user b", "user c"]);
    assert_eq!(sent.bytes, preview);
    assert!(steered.await.is_ok() && withdrawn.await.unwrap().is_interrupted());
    model.assert_complete();
}
