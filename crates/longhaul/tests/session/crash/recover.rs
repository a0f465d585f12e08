//! Sessions that are opened again behind a crash, go on, and are checked.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use longhaul::prelude::*;
use longhaul::rollout::{LogRef, OnDamage};
use longhaul_testkit::check::log::{Evidence, Note, Summary, check};
use serde_json::json;

use super::script::{UNBORN, follow, prompt};
use super::world::{Folder, READING, World, items};

/// Opens all sessions of the folder twice, lets each go on, and checks what came of it.
pub(super) async fn recover(folder: &Folder) -> Result<Vec<Summary>, String> {
    let logs = folder.files("sessions", ".jsonl");
    let crashed: Vec<_> = logs.iter().map(|log| fs::read(log).unwrap()).collect();
    let world = World::begin(folder.path(), None, false);
    let agent = world.agent();
    let mut ids = Vec::new();
    for log in &logs {
        for _ in 0..2 {
            let session = open(&world, &agent, log).await?;
            session.shutdown().await.unwrap();
        }
        let session = open(&world, &agent, log).await?;
        ids.push(session.id().to_owned());
        if session.resumed().unwrap().open_turn.is_some() {
            let turn = session.continue_turn().map_err(|error| error.to_string())?;
            follow(&world, &session, turn).await;
        }
        prompt(&world, &session, "p99: look").await;
        session.shutdown().await.unwrap();
    }
    let notes = named(folder.notes(), &ids);
    if let Some(lost) = notes.iter().find_map(|note| lost(note, &ids)) {
        return Err(format!("the session {lost} was acknowledged, and there is no log of it"));
    }
    let blobs = blobs(folder);
    let evidence = logs.iter().zip(crashed).zip(ids).map(|((log, crashed), session)| Evidence {
        session,
        crashed,
        log: fs::read(log).unwrap(),
        blobs: blobs.clone(),
        notes: notes.clone(),
        may_run_again: READING.map(str::to_owned).into(),
    });
    let checked = evidence.map(|evidence| {
        check(&evidence).map_err(|found| {
            let notes: Vec<_> = evidence.notes.iter().map(|it| format!("{it:.200?}")).collect();
            let shown = |text: String| text.chars().take(300).collect::<String>();
            let notes: Vec<_> = notes.into_iter().map(shown).collect();
            format!("{found:#?}\n{}", notes.join("\n"))
        })
    });
    checked.collect()
}

/// The session of this note, if it has no log. Whoever gives an input has a session: it was started, and so
/// its log had been made.
fn lost<'a>(note: &'a Note, ids: &[String]) -> Option<&'a str> {
    match note {
        Note::Submitted { session, .. }
        | Note::Acked { session, .. }
        | Note::Start { session, .. }
        | Note::Request { session, .. }
        | Note::Rests { session, .. } => (!ids.contains(session)).then_some(session),
        _ => None,
    }
}

/// The notes with the id of the fork, which is the one session that is not its parent.
fn named(mut notes: Vec<Note>, ids: &[String]) -> Vec<Note> {
    for note in &mut notes {
        if let Note::Forked { parent, session, .. } = note
            && let Some(id) = ids.iter().find(|id| *id != parent)
        {
            assert_eq!(session, UNBORN);
            session.clone_from(id);
        }
    }
    notes
}

async fn open(world: &World, agent: &Agent, log: &Path) -> Result<Session, String> {
    let which = LogRef::Path(log.to_owned());
    let opening = agent.session().resume(which, OnDamage::Refuse).start();
    let session = opening.await.map_err(|error| error.to_string())?;
    world.enter(&session);
    let resumed = session.resumed().unwrap();
    let next = session.preview_request("next").await.map_err(|error| error.to_string())?;
    let next = String::from_utf8_lossy(&next).into_owned();
    let also = json!([next, resumed.open_turn, resumed.unknown_calls, session.settings().cwd]);
    let (session_id, items) = (session.id().to_owned(), items(&session.history()));
    world.note(&Note::Recovered { session: session_id, items, also });
    Ok(session)
}

fn blobs(folder: &Folder) -> BTreeMap<String, Vec<u8>> {
    let files = folder.files("blobs", "").into_iter();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    files.map(|path| (name(&path), fs::read(&path).unwrap())).collect()
}
