//! The chat in a terminal: keys in, cells out.

use std::error::Error;
use std::time::{Duration, Instant};

use crossterm::event::{
    Event as Input, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers,
};
use futures_util::{FutureExt, StreamExt};
use longhaul::Agent;
use longhaul::events::SessionEvents;
use longhaul::prelude::{Input as Prompt, Session};
use longhaul::transcript::Transcript;
use serde_json::Value;

use crate::command::{self, Done};
use crate::question::{self, Question};
use crate::view;

/// The spinner turns this often.
const TICK: Duration = Duration::from_millis(100);

/// Everything that is shown, and what keys do to it.
pub(crate) struct App {
    agent: Agent,
    session: Session,
    events: SessionEvents,
    output_schema: Option<Value>,
    pub(crate) transcript: Transcript,
    pub(crate) composer: String,
    /// The message of the user that is chosen to be said differently.
    pub(crate) chosen: Option<usize>,
    /// What the chat itself has to say.
    pub(crate) notice: String,
    /// Since when a turn runs.
    pub(crate) since: Option<Instant>,
    /// How many lines it is scrolled back.
    pub(crate) scrolled: usize,
    is_over: bool,
}

pub(crate) async fn run(agent: &Agent, output_schema: Option<Value>) -> Result<(), Box<dyn Error>> {
    let session = agent.session().start().await?;
    let mut app = App::new(agent.clone(), session, output_schema);
    let mut terminal = ratatui::try_init()?;
    let ended = app.live(&mut terminal).await;
    ratatui::try_restore()?;
    app.session.shutdown().await?;
    ended
}

impl App {
    pub(crate) fn new(agent: Agent, session: Session, output_schema: Option<Value>) -> Self {
        Self {
            agent,
            events: session.subscribe(0),
            session,
            output_schema,
            transcript: Transcript::new(),
            composer: String::new(),
            chosen: None,
            notice: "Type and press Enter; /help tells more.".into(),
            since: None,
            scrolled: 0,
            is_over: false,
        }
    }

    async fn live(
        &mut self,
        terminal: &mut ratatui::DefaultTerminal,
    ) -> Result<(), Box<dyn Error>> {
        let mut keys = EventStream::new();
        let mut ticks = tokio::time::interval(TICK);
        while !self.is_over {
            terminal.draw(|frame| view::draw(frame, self))?;
            tokio::select! {
                key = keys.next() => match key {
                    Some(Ok(Input::Key(key))) if key.kind != KeyEventKind::Release => self.press(key).await?,
                    Some(Ok(Input::Paste(text))) => self.composer.push_str(&text),
                    Some(key) => drop(key?),
                    None => break,
                },
                Some(event) = self.events.next() => {
                    self.transcript.apply(&event);
                    self.catch_up();
                }
                _ = ticks.tick(), if self.since.is_some() => {}
            }
            let is_running = self.transcript.status().turn_id.is_some();
            self.since = self.since.filter(|_| is_running).or(is_running.then(Instant::now));
        }
        Ok(())
    }

    /// What is there already is drawn together.
    pub(crate) fn catch_up(&mut self) {
        while let Some(Some(event)) = self.events.next().now_or_never() {
            self.transcript.apply(&event);
        }
    }

    pub(crate) async fn press(&mut self, key: KeyEvent) -> Result<(), Box<dyn Error>> {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c' | 'd') if is_control => self.is_over = true,
            KeyCode::Char(letter) if !is_control => self.composer.push(letter),
            KeyCode::F(_) => self.answer(key).await,
            KeyCode::Backspace => drop(self.composer.pop()),
            KeyCode::PageUp => self.scrolled += 10,
            KeyCode::PageDown => self.scrolled = self.scrolled.saturating_sub(10),
            KeyCode::Up => self.choose(|chosen| chosen.checked_sub(1)),
            KeyCode::Down => self.choose(|chosen| Some(chosen + 1)),
            KeyCode::Esc => self.escape(),
            KeyCode::Enter if self.chosen.is_some() => self.fork().await?,
            KeyCode::Enter => self.send().await,
            _ => {}
        }
        Ok(())
    }

    /// Answers the question that is shown, if the key is an answer.
    async fn answer(&mut self, key: KeyEvent) {
        let Some(decision) = question::answer(key) else {
            return;
        };
        if let Some(Question { call_id, digest, .. }) = Question::of(&self.transcript) {
            let answered = self.session.answer(call_id, Some(digest), decision).await;
            self.notice = answered.err().map(|error| error.to_string()).unwrap_or_default();
        }
    }

    /// Ends what runs; when nothing does, goes back to earlier messages, or leaves them.
    fn escape(&mut self) {
        self.notice.clear();
        let messages = self.transcript.user_message_count();
        if self.session.interrupt() {
            self.notice = "interrupted".into();
        } else if self.chosen.take().is_none() && messages > 0 {
            self.chosen = Some(messages - 1);
            self.notice = "↑ ↓ choose, Enter forks before that message, Esc leaves".into();
        }
    }

    fn choose(&mut self, other: impl FnOnce(usize) -> Option<usize>) {
        let messages = self.transcript.user_message_count();
        let other = self.chosen.and_then(other).filter(|other| *other < messages);
        self.chosen = other.or(self.chosen);
    }

    /// Goes on from before the chosen message, which is there to be said differently.
    async fn fork(&mut self) -> Result<(), Box<dyn Error>> {
        let Some(nth) = self.chosen.take() else {
            return Ok(());
        };
        let Some(selection) = self.transcript.select(nth, &self.session.history()) else {
            return Ok(());
        };
        let Some(before) = selection.before else {
            self.notice = "that message was compacted: there is no way back to it".into();
            return Ok(());
        };
        self.session = self.agent.session().fork(&self.session, before)?.start().await?;
        self.events = self.session.events();
        self.transcript.trim(nth);
        self.composer = selection.text;
        self.notice = "forked: say it differently, and press Enter".into();
        Ok(())
    }

    /// Sends what is written: a command, a prompt, or further input for the turn that runs.
    async fn send(&mut self) {
        let line = std::mem::take(&mut self.composer);
        (self.scrolled, self.notice) = (0, String::new());
        let sent = match line.trim() {
            "" => return,
            line if line.starts_with('/') => match command::perform(&self.session, line) {
                Ok(Done::Say(text)) => {
                    self.notice = text;
                    return;
                }
                Ok(Done::Quit) => {
                    self.is_over = true;
                    return;
                }
                Ok(Done::Turn(_)) => return,
                Err(error) => Err(error),
            },
            line => {
                let mut prompt = Prompt::from(line);
                if let Some(schema) = &self.output_schema {
                    prompt = prompt.output_schema(schema.clone());
                }
                self.session.steer(prompt).await
            }
        };
        if let Err(error) = sent {
            self.notice = error.to_string();
            self.composer = line;
        }
    }

    /// The turn that runs has done so for this long.
    pub(crate) fn elapsed(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}
