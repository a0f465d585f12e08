//! The screen of the program `chat`: which keys answer a call that asks, and which only write.

#![allow(dead_code, reason = "the chat is read in as it is, and only its screen is tried")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

#[path = "../chat/app.rs"]
mod app;
#[path = "../chat/command.rs"]
mod command;
#[path = "../chat/question.rs"]
mod question;
#[path = "../chat/view.rs"]
mod view;

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use longhaul::approval::{ApprovalDecision, Approvals, PendingApproval};
use longhaul::prelude::*;
use longhaul::tool::{FunctionTool, tool};
use longhaul_testkit::ScriptedModel;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::json;

use app::App;

const CALLS: [&str; 3] = ["one", "two", "three"];

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Risk {
    what: String,
}

/// A tool that asks, and ends at once.
fn risky() -> FunctionTool {
    let run = |risk: Risk| async move { Ok::<_, std::io::Error>(risk.what) };
    tool("risky", "Asks first.", run).needs_approval()
}

/// The screen of a chat in which three calls of one id ask, with what the model asked for.
async fn asking() -> (App, Session) {
    let calls = CALLS.map(|what| ("c", "risky", json!({"what": what}).to_string()));
    let model = ScriptedModel::new().calls(calls).text("done").text("more");
    let agent = Agent::builder("test-model", Arc::new(model))
        .context_window(100_000)
        .tool(risky())
        .approvals(Approvals::answered())
        .build()
        .unwrap();
    let session = agent.session().start().await.unwrap();
    let mut app = App::new(agent, session.clone(), None);
    let mut turn = session.prompt("go").await.unwrap();
    let mut asked = 0;
    while asked < CALLS.len() {
        asked += usize::from(matches!(turn.next().await.unwrap(), Event::ApprovalRequest { .. }));
    }
    app.catch_up();
    (app, session)
}

fn waiting(session: &Session) -> Vec<PendingApproval> {
    session.pending_approvals()
}

/// What is on a screen of this size, and which of it is shown the other way round.
fn screen(app: &App, width: u16, height: u16) -> (String, String) {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view::draw(frame, app)).unwrap();
    let (mut all, mut marked) = (String::new(), String::new());
    for (index, cell) in terminal.backend().buffer().content().iter().enumerate() {
        if index > 0 && index % usize::from(width) == 0 {
            all.push('\n');
        }
        all.push_str(cell.symbol());
        if cell.modifier.contains(ratatui::style::Modifier::REVERSED) {
            marked.push_str(cell.symbol());
        }
    }
    (all, marked)
}

async fn press(app: &mut App, code: KeyCode, modifiers: KeyModifiers) {
    app.press(KeyEvent::new(code, modifiers)).await.unwrap();
}

#[tokio::test]
async fn no_letter_answers_whatever_is_held_with_it() {
    let (mut app, session) = asking().await;
    let modifiers = [
        KeyModifiers::NONE,
        KeyModifiers::SHIFT,
        KeyModifiers::CONTROL,
        KeyModifiers::ALT,
        KeyModifiers::CONTROL | KeyModifiers::ALT,
    ];
    for modifiers in modifiers {
        for letter in ('a'..='z').chain('A'..='Z').chain(' '..='@') {
            let leaves = modifiers.contains(KeyModifiers::CONTROL) && "cd".contains(letter);
            if !leaves {
                app.composer.clear();
                press(&mut app, KeyCode::Char(letter), modifiers).await;
                assert_eq!(waiting(&session).len(), 3, "{letter:?} {modifiers:?}");
            }
        }
    }
    let edits = [KeyCode::Backspace, KeyCode::Up, KeyCode::Down, KeyCode::PageUp, KeyCode::Tab];
    for code in edits {
        press(&mut app, code, KeyModifiers::NONE).await;
        assert_eq!(waiting(&session).len(), 3, "{code:?}");
    }
    session.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_steer_is_written_and_sent_while_a_call_asks() {
    for said in ["also the roof", "yes, and the door", "no, wait"] {
        let (mut app, session) = asking().await;
        for letter in said.chars() {
            press(&mut app, KeyCode::Char(letter), KeyModifiers::NONE).await;
        }
        assert_eq!(app.composer, said);
        assert_eq!(waiting(&session).len(), 3, "{said}");
        press(&mut app, KeyCode::Enter, KeyModifiers::NONE).await;
        assert_eq!((&*app.composer, &*app.notice), ("", ""));
        assert_eq!(waiting(&session).len(), 3, "{said}");
        session.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn function_keys_answer_what_is_shown_and_nothing_else_does() {
    let table = [(1, KeyModifiers::NONE), (5, KeyModifiers::NONE), (12, KeyModifiers::NONE)];
    let held = [KeyModifiers::SHIFT, KeyModifiers::CONTROL, KeyModifiers::ALT];
    let held = held.into_iter().flat_map(|held| [(2, held), (3, held), (4, held)]);
    let (mut app, session) = asking().await;
    for (key, modifiers) in table.into_iter().chain(held) {
        press(&mut app, KeyCode::F(key), modifiers).await;
        assert_eq!(waiting(&session).len(), 3, "F{key} {modifiers:?}");
    }
    let repeated = KeyEvent::new_with_kind(KeyCode::F(2), KeyModifiers::NONE, KeyEventKind::Repeat);
    app.press(repeated).await.unwrap();
    assert_eq!(waiting(&session).len(), 3, "held down");
    for key in [2, 3, 4] {
        let (mut app, session) = asking().await;
        press(&mut app, KeyCode::F(key), KeyModifiers::NONE).await;
        let left: Vec<_> = waiting(&session).into_iter().map(|call| call.arguments).collect();
        assert_eq!(left, [r#"{"what":"two"}"#, r#"{"what":"three"}"#], "F{key}");
        assert_eq!(app.notice, "");
        session.shutdown().await.unwrap();
    }
    session.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_answer_is_for_the_call_that_is_shown_where_ids_repeat() {
    let (mut app, session) = asking().await;
    let first = waiting(&session)[0].digest;
    // Somebody else answers, and the screen has not heard of it.
    session.answer("c", Some(first), ApprovalDecision::Denied { reason: None }).await.unwrap();
    press(&mut app, KeyCode::F(2), KeyModifiers::NONE).await;
    let left: Vec<_> = waiting(&session).into_iter().map(|call| call.arguments).collect();
    assert_eq!(left, [r#"{"what":"two"}"#, r#"{"what":"three"}"#]);
    assert!(app.notice.contains("`c`"), "{}", app.notice);
    session.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_screen_says_the_keys_and_which_call_is_meant_and_asks_no_longer_once_answered() {
    let (mut app, session) = asking().await;
    let mut turn = session.events();
    app.notice = command::HELP.into();
    for (width, height) in [(100, 30), (44, 12), (60, 4)] {
        let (all, _) = screen(&app, width, height);
        assert!(all.contains(question::KEYS), "{width} x {height}:\n{all}");
    }
    app.notice.clear();
    for what in CALLS {
        let (all, marked) = screen(&app, 100, 30);
        let shown = format!("? {}: risky {}", question::KEYS, json!({"what": what}));
        assert!(all.contains(&shown), "{all}");
        assert_eq!(marked, format!("* risky {}  waits for your word", json!({"what": what})));
        press(&mut app, KeyCode::F(2), KeyModifiers::NONE).await;
        assert_eq!(app.notice, "");
        while !matches!(turn.next().await.unwrap().event, Event::ApprovalAnswered { .. }) {}
        app.catch_up();
    }
    let (all, marked) = screen(&app, 100, 30);
    assert!(!all.contains("F2") && marked.is_empty(), "{all}");
    // Nothing asks: the key is nobody's answer.
    press(&mut app, KeyCode::F(2), KeyModifiers::NONE).await;
    assert_eq!((&*app.notice, &*app.composer), ("", ""));
    session.shutdown().await.unwrap();
}
