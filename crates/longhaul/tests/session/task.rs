//! Turns that do something else than the regular one.

use std::time::Duration;

use async_trait::async_trait;
use longhaul::history::Item;
use longhaul::prelude::*;
use longhaul::state::protocol::TurnEnd;
use longhaul::task::{SessionTask, TaskScope};
use longhaul_testkit::ScriptedModel;
use tokio::time::Instant;

use super::support::{conversation, lines, scripted};

/// A task that a closure chooses the end of.
struct Task(fn() -> End);

enum End {
    Answer,
    Error,
    Panic,
    Heed,
    Never,
}

#[async_trait]
impl SessionTask for Task {
    async fn run(&self, scope: &TaskScope) -> Result<TurnResult, TurnError> {
        scope.emit(Event::Background("a task of another kind".into()));
        match (self.0)() {
            End::Answer => {
                scope.record([Item::assistant("from the task")]);
                Ok(TurnResult::empty(TurnEnd::Complete))
            }
            End::Error => Err(TurnError::InvalidInput("not like this".into())),
            End::Panic => panic!("a task that panics"),
            End::Heed => {
                scope.cancelled().await;
                assert!(scope.is_cancelled());
                Ok(TurnResult::empty(TurnEnd::INTERRUPTED))
            }
            End::Never => std::future::pending().await,
        }
    }
}

/// Makes an end anew: it cannot be cloned.
type MakeEnd = fn() -> End;

#[tokio::test(start_paused = true)]
async fn a_task_of_another_kind_runs_its_turn_and_no_end_of_it_harms_the_session() {
    let model = ScriptedModel::new().text("from the model");
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    let begun = Instant::now();
    let table: [(MakeEnd, &[&str], u64); 5] = [
        (|| End::Answer, &["complete -"], 0),
        (|| End::Error, &["error invalid_submission", "complete -"], 0),
        (|| End::Panic, &["error internal", "complete -"], 0),
        (|| End::Heed, &["aborted"], 0),
        (|| End::Never, &["aborted"], 200),
    ];
    let mut waited = 0;
    for (end, last, millis) in table {
        let mut turn = session.prompt(Input::from("go").task(Task(end))).await.unwrap();
        if last == ["aborted"] {
            while let Some(event) = turn.next().await {
                if matches!(event, Event::Background(_)) {
                    break;
                }
            }
            session.interrupt();
        }
        let events = lines(&mut turn).await;
        assert_eq!(events[events.len() - last.len()..], *last);
        assert_eq!(turn.await.is_err(), last.len() == 2);
        waited += millis;
        assert_eq!(begun.elapsed(), Duration::from_millis(waited), "virtual time");
    }
    session.prompt("and now?").await.unwrap().await.unwrap();
    assert_eq!(
        conversation(&session.history()),
        [
            "user go",
            "assistant from the task",
            "user go",
            "user go",
            "user go",
            "user go",
            "user and now?",
            "assistant from the model",
        ]
    );
    model.assert_complete();
}
