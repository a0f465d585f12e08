//! What the driver does: twenty operations, each waited for.

use std::fs::{self, OpenOptions};

use longhaul::TurnHandle;
use longhaul::approval::ApprovalDecision;
use longhaul::history::Item;
use longhaul::prelude::*;
use longhaul::rollout::{LogRef, OnDamage, blob_digest};
use longhaul::state::protocol::SettingsUpdate;
use longhaul_testkit::check::log::{Ack, Note};
use serde_json::Value;

use super::disk::write_apart;
use super::world::{World, items};

/// The name of the fork until its id is known: it may be there before anybody could have noted it.
pub(super) const UNBORN: &str = "the fork";

/// Runs it all.
pub(super) async fn script(world: &World) {
    let agent = world.agent();
    let session = agent.session().start().await.unwrap();
    world.enter(&session);
    for text in ["p0: ", "p1: look"] {
        prompt(world, &session, text).await;
    }
    move_to(world, &session, "/1").await;
    for text in ["p2: change", "p3: look look change", "p4: risky", "p5: slow", "p6: endless"] {
        prompt(world, &session, text).await;
    }
    submitted(world, "pinned");
    session.pin(&Item::user("pinned")).await.unwrap();
    world.acked(Ack::Message { text: "pinned".into() });
    compact(world, &session).await;
    prompt(world, &session, "p7: change").await;
    assert!(session.undo_compaction().await.unwrap());
    prompt(world, &session, "p8: big").await;
    let session = reopen(&agent, session).await;
    prompt(world, &session, "p9: look").await;
    let fork = fork(world, &agent, &session).await;
    prompt(world, &fork, "p10: change").await;
    fork.shutdown().await.unwrap();
    world.enter(&session);
    compact(world, &session).await;
    prompt(world, &session, "p11: ").await;
    session.shutdown().await.unwrap();
}

fn submitted(world: &World, text: &str) {
    let session = world.session().0;
    world.note(&Note::Submitted { session, text: text.to_owned() });
}

/// A turn with this prompt; its tools need what they need.
pub(super) async fn prompt(world: &World, session: &Session, text: &str) {
    submitted(world, text);
    let id = text.split(':').next().unwrap();
    let turn = session.prompt(Input::from(text).id(id)).await.unwrap();
    world.step("input accepted");
    follow(world, session, turn).await;
}

pub(super) async fn compact(world: &World, session: &Session) {
    let turn = session.compact().unwrap();
    follow(world, session, turn).await;
}

async fn move_to(world: &World, session: &Session, folder: &str) {
    let mut change = SettingsUpdate::default();
    change.cwd = Some(folder.into());
    session.configure(change).await.unwrap();
    world.acked(Ack::Moved { cwd: folder.into() });
}

/// An input that waits for a while.
async fn take_back(world: &World, session: &Session, text: &str) {
    submitted(world, text);
    session.prompt(Input::from(text).id(text)).await.unwrap();
    session.withdraw(text).await.unwrap();
    world.acked(Ack::Withdrawn { text: text.into() });
}

/// Notes what a turn acknowledges, to its end.
pub(super) async fn follow(world: &World, session: &Session, mut turn: TurnHandle) {
    let mut steer = None;
    while let Some(event) = turn.next().await {
        match event {
            Event::ItemCompleted(item) => {
                world.step("item done");
                if let Some(text) = item.kind.message_text() {
                    world.acked(Ack::Message { text });
                }
            }
            Event::TextDelta(_) => world.step("first delta"),
            Event::ToolCallEnd { call_id, output, .. } => {
                world.step("result durable");
                world.acked(Ack::Output { call_id, text: output });
            }
            Event::ContextCompacted(_) => {
                world.step("compacted");
                world.acked(Ack::Compacted);
            }
            Event::ApprovalRequest { call_id, .. } => {
                let decision = ApprovalDecision::ApprovedForSession;
                session.answer(&call_id, None, decision).await.unwrap();
                world.acked(Ack::Granted);
            }
            Event::ToolCallBegin { name, .. } if name == "change" => world.step("intent durable"),
            Event::ToolCallBegin { name, .. } if name == "endless" => drop(session.interrupt()),
            Event::ToolCallBegin { name, .. } if name == "slow" && world.waits => {
                take_back(world, session, "w5").await;
                submitted(world, "s5");
                steer = Some(session.steer(Input::from("s5").id("s5")).await.unwrap());
                world.gate.notify_one();
            }
            _ => {}
        }
    }
    let turn_id = turn.id().to_owned();
    turn.await.unwrap();
    world.step("terminal durable");
    if let Some(steer) = steer {
        steer.await.unwrap();
    }
    world.acked(Ack::Ended { turn_id });
    world.rests(session);
}

/// Closes the session, tears the end of its log, and opens it again.
async fn reopen(agent: &Agent, session: Session) -> Session {
    session.shutdown().await.unwrap();
    let log = session.log_path().unwrap();
    let mut file = OpenOptions::new().append(true).open(log).unwrap();
    write_apart(&mut file, "{\"timestamp\":\"2026");
    let which = LogRef::Id(session.id().to_owned());
    let session = agent.session().resume(which, OnDamage::Refuse).start().await.unwrap();
    assert_eq!(session.resumed().unwrap().torn_bytes, 18);
    session
}

/// A fork before the third message of the user.
async fn fork(world: &World, agent: &Agent, parent: &Session) -> Session {
    let is_third = |item: &Value| item["content"][0]["text"] == "p2: change";
    let mut before = items(&parent.history());
    before.truncate(before.iter().position(is_third).unwrap());
    let bytes = fs::read(parent.log_path().unwrap()).unwrap();
    let (parent_bytes, parent_digest) = (bytes.len() as u64, blob_digest(&bytes));
    let (id, session) = (parent.id().to_owned(), UNBORN.to_owned());
    world.note(&Note::Forked { parent: id, parent_bytes, parent_digest, session, items: before });
    let fork = agent.session().fork(parent, 2).unwrap().start().await.unwrap();
    world.enter(&fork);
    fork
}
