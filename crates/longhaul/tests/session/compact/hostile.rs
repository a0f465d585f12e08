//! Whatever a model does with a request for a summary: the session goes on, with everything that must
//! not be lost, for a bounded number of requests, and says why a compaction failed.

use std::sync::Arc;

use longhaul::coding::CodingContext;
use longhaul::compaction::LastRung;
use longhaul::history::{History, Item};
use longhaul::prelude::*;
use longhaul::transport::{ErrorCode, ModelError, RateLimits, RetryPolicy};
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::model::{Answer, Recorded};
use longhaul_testkit::sse::ResponseBuilder;
use longhaul_transport::rate_limits::RateLimitWindow;
use serde_json::json;
use tokio::sync::Barrier;

use super::support::{end, held, is_compaction, open, say, too_long, two_voices, words};
use crate::support::{items, scripted};

/// What the model does with a request for a summary.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Model {
    Fails,
    SaysNothing,
    SaysTooMuch,
    Calls,
    Refuses,
    IsCutOff,
    FindsAllTooLong,
    KnowsNobody,
    IsUsedUp,
}

const MODELS: [Model; 9] = [
    Model::Fails,
    Model::SaysNothing,
    Model::SaysTooMuch,
    Model::Calls,
    Model::Refuses,
    Model::IsCutOff,
    Model::FindsAllTooLong,
    Model::KnowsNobody,
    Model::IsUsedUp,
];

impl Model {
    fn answer(self) -> Answer {
        let failure = |code| Answer::failure(ModelError::new(code, "no"));
        let response = ResponseBuilder::new();
        match self {
            Self::Fails => failure(ErrorCode::ServerError),
            Self::SaysNothing => response.into(),
            Self::SaysTooMuch => response.text(words(40_000)).into(),
            Self::Calls => response.call("c9", "held", "{}").into(),
            Self::Refuses => {
                let refusal = json!([{"type": "refusal", "refusal": "I will not."}]);
                let item = json!({"type": "message", "role": "assistant", "content": refusal});
                response.item(item).into()
            }
            Self::IsCutOff => response.text("half").incomplete("max_output_tokens").into(),
            Self::FindsAllTooLong => Answer::failure(too_long()),
            Self::KnowsNobody => failure(ErrorCode::Unauthorized),
            Self::IsUsedUp => {
                let error = ModelError::new(ErrorCode::UsageLimitReached, "used up");
                Answer::failure(error.with_rate_limits(Some(limits())))
            }
        }
    }

    /// Why the compaction fails.
    fn code(self) -> &'static str {
        match self {
            Self::Fails => "server_error",
            Self::IsCutOff => "response_incomplete",
            Self::KnowsNobody => "unauthorized",
            Self::IsUsedUp => "usage_limit_reached",
            _ => "compaction_failed",
        }
    }

    /// Requests for a summary in one compaction: one retry is allowed.
    fn may_ask(self) -> std::ops::RangeInclusive<usize> {
        match self {
            Self::Fails => 2..=2,
            Self::FindsAllTooLong => 1..=3,
            _ => 1..=1,
        }
    }
}

fn limits() -> RateLimits {
    let window = RateLimitWindow { used_percent: 100.0, window_minutes: None, resets_at: None };
    RateLimits { primary: Some(window), ..RateLimits::default() }
}

/// Why the conversation is compacted.
#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    AskedWhileIdle,
    AskedInTurn,
    LimitReached,
    Refused,
    DoesNotFit,
}

const ALL: [When; 5] =
    [When::AskedWhileIdle, When::AskedInTurn, When::LimitReached, When::Refused, When::DoesNotFit];

const OLD: &str = "OLD";
const NEW: &str = "NEW";
const PINNED: &str = "PINNED";

impl When {
    /// A window in which two long messages have no room, or one in which they have.
    fn window(self) -> u64 {
        if self == Self::DoesNotFit { 16_000 } else { 100_000 }
    }

    /// What the model says in the turns of the session.
    fn answer(self, request: &Recorded) -> Answer {
        let lines = items(&request.input());
        let response = ResponseBuilder::new();
        let is_new = lines.last().is_some_and(|line| line.starts_with("user NEW"));
        match self {
            Self::LimitReached if request.order == 0 => {
                response.text("one").usage(60_000, 0).into()
            }
            Self::AskedInTurn if is_new => response.call("c1", "held", "{}").into(),
            Self::Refused if is_new && lines.iter().any(|line| line.starts_with("user OLD")) => {
                Answer::failure(too_long())
            }
            _ => response.text("x").into(),
        }
    }
}

/// A session that has had one turn.
struct Case {
    when: When,
    model: Model,
    scripted: ScriptedModel,
    session: Session,
    barrier: Arc<Barrier>,
    before: History,
}

impl Case {
    async fn new(when: When, model: Model, last_rung: LastRung) -> Self {
        let scripted = two_voices(move |request| when.answer(request), move |_| model.answer());
        let scripted = scripted.retry_policy(RetryPolicy::new(1, 1));
        let barrier = Arc::new(Barrier::new(2));
        let agent = crate::support::scripted(&scripted)
            .context_window(when.window())
            .auto_compact_token_limit(50_000)
            .context(CodingContext::new(Some("British spelling.".into())))
            .tool(held(&barrier))
            .last_rung(last_rung);
        let session = open(agent).await;
        say(&session, &format!("{OLD} {}", words(8_000))).await;
        session.pin(&Item::user(PINNED)).await.unwrap();
        let before = session.history();
        Self { when, model, scripted, session, barrier, before }
    }

    /// Has the compaction happen; gives the events and how its turn ended, and why it failed where
    /// somebody asked for it.
    async fn run(&self) -> (Vec<String>, Result<TurnResult, TurnError>, Option<&'static str>) {
        let new = format!("{NEW} {}", words(8_000));
        if self.when == When::AskedWhileIdle {
            let (events, result) = end(self.session.compact().unwrap()).await;
            let code = result.as_ref().err().map(TurnError::code);
            return (events, result, code);
        }
        let mut events = self.session.events();
        let turn = self.session.prompt(new).await.unwrap();
        let mut asked = None;
        if self.when == When::AskedInTurn {
            self.barrier.wait().await;
            let compact = self.session.compact().unwrap();
            self.barrier.wait().await;
            asked = Some(compact.await.unwrap_err().code());
        }
        let result = turn.await;
        let mut lines = Vec::new();
        while !lines.last().is_some_and(|line: &String| line.starts_with("complete")) {
            lines.push(crate::support::line(&events.next().await.unwrap().event));
        }
        (lines, result, asked)
    }

    fn is_required(&self) -> bool {
        matches!(self.when, When::Refused | When::DoesNotFit)
    }

    /// What every later request holds.
    fn check_request(&self, request: &Recorded) {
        let name = format!("{:?} {:?}", self.when, self.model);
        let lines = items(&request.input());
        assert!(lines[0].starts_with("user <user_instructions>"), "{name}: {}", lines[0]);
        assert!(lines[1].starts_with("user <environment_context>"), "{name}: {}", lines[1]);
        let pinned = lines.iter().filter(|line| *line == "user PINNED").count();
        assert_eq!(pinned, 1, "{name}: {lines:?}");
        assert_eq!(lines.last().unwrap(), "user and now?", "{name}");
        let kept = if self.when == When::AskedWhileIdle { OLD } else { NEW };
        assert!(lines.iter().any(|line| line.contains(kept)), "{name}");
    }
}

async fn check(when: When, model: Model) {
    let name = format!("{when:?} {model:?}");
    let case = Case::new(when, model, LastRung::Extract).await;
    let (events, result, asked) = case.run().await;
    let requests = case.scripted.requests();
    let summaries = requests.iter().filter(|request| is_compaction(request)).count();
    assert!(model.may_ask().contains(&summaries), "{name}: {summaries} requests");

    let history = case.session.history();
    let is_reason = |event: &&String| event.starts_with("error") || event.starts_with("warning");
    let told: Vec<_> = events.iter().filter(is_reason).collect();
    let extracted = events.iter().any(|event| event.starts_with("compacted auto extract"));
    assert_eq!(extracted, case.is_required(), "{name}: {events:?}");
    if when == When::AskedWhileIdle {
        assert_eq!(history, case.before, "{name}");
        assert_eq!(told, [&format!("error {}", model.code())], "{name}");
    } else {
        assert!(result.is_ok(), "{name}: {result:?}");
        let expected = (!extracted).then(|| format!("warning {}", model.code()));
        assert_eq!(told, expected.iter().collect::<Vec<_>>(), "{name}: {events:?}");
        assert_eq!(history.starts_with(&case.before), !extracted, "{name}");
    }
    let is_asked = matches!(when, When::AskedWhileIdle | When::AskedInTurn);
    assert_eq!(asked, is_asked.then(|| model.code()), "{name}");
    let (_, limits) = case.session.token_count();
    assert_eq!(limits, (model == Model::IsUsedUp).then(self::limits), "{name}");

    say(&case.session, "and now?").await;
    case.check_request(case.scripted.requests().last().unwrap());
    assert_eq!(case.scripted.problems(), [""; 0], "{name}");
}

#[tokio::test(start_paused = true)]
async fn a_session_survives_every_model_wherever_it_is_asked() {
    for when in ALL {
        for model in MODELS {
            check(when, model).await;
        }
    }
}

/// The same where nothing but a model may sum up: the conversation stays, and a request that cannot
/// be sent fails with what its server said.
#[tokio::test(start_paused = true)]
async fn without_a_last_rung_nothing_is_replaced_and_the_reason_is_told() {
    for when in [When::Refused, When::DoesNotFit] {
        for model in MODELS {
            let name = format!("{when:?} {model:?}");
            let case = Case::new(when, model, LastRung::Refuse).await;
            let (events, result, _) = case.run().await;
            let warning = format!("warning {}", model.code());
            assert!(events.contains(&warning), "{name}: {events:?}");
            assert!(!events.iter().any(|event| event.starts_with("compacted")), "{name}");
            assert!(case.session.history().starts_with(&case.before), "{name}");
            let summaries = case.scripted.requests();
            let summaries = summaries.iter().filter(|request| is_compaction(request)).count();
            assert!(model.may_ask().contains(&summaries), "{name}: {summaries} requests");
            match when {
                When::Refused => {
                    assert_eq!(result.unwrap_err().code(), "context_window_exceeded", "{name}");
                    let last = ["error context_window_exceeded", "complete -"];
                    assert_eq!(events[events.len() - 2..], last, "{name}");
                    assert!(events[events.len() - 3].starts_with("tokens"), "{name}");
                }
                // By the local count it does not fit; this server takes it all the same.
                _ => assert!(result.is_ok(), "{name}"),
            }
        }
    }
}

/// A model that always finds everything too long costs a bounded number of requests in all.
#[tokio::test]
async fn no_conversation_costs_more_than_three_requests_for_a_summary() {
    for turns in [1, 2, 5, 20] {
        let model = two_voices(
            |request| match items(&request.input()).last().unwrap().as_str() {
                "user OVERFLOW" => Answer::failure(too_long()),
                _ => ResponseBuilder::new().text("x").into(),
            },
            |_| Answer::failure(too_long()),
        );
        let session = open(scripted(&model).last_rung(LastRung::Refuse)).await;
        for turn in 0..turns {
            say(&session, &format!("{turn} {}", words(500))).await;
        }
        let before = session.history();
        session.compact().unwrap().await.unwrap_err();
        assert_eq!(session.history(), before);
        let asked = |model: &ScriptedModel| {
            model.requests().iter().filter(|request| is_compaction(request)).count()
        };
        let manual = asked(&model);
        assert!((1..=3).contains(&manual), "{turns}: {manual}");
        let (_, result) = end(session.prompt("OVERFLOW").await.unwrap()).await;
        assert_eq!(result.unwrap_err().code(), "context_window_exceeded");
        assert!(asked(&model) - manual <= 3, "{turns}");
        let ordinary = model.requests().iter().filter(|request| !is_compaction(request)).count();
        assert_eq!(ordinary, turns + 1, "the step is not repeated as it was");
    }
}
