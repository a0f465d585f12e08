//! What the terminal shows: cells, a line about what goes on, and the line that is being written.

use longhaul::transcript::{
    Activity, Cell, CellKind, CompactionState, ItemState, ToolState, UndoState,
};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Position};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::Paragraph;

use crate::app::App;
use crate::question::{KEYS, Question};

const SPINNER: [&str; 4] = ["|", "/", "-", "\\"];

/// Of an output this many lines are shown.
const OUTPUT_LINES: usize = 6;

pub(crate) fn draw(frame: &mut Frame, app: &App) {
    let mut notice = wrapped(&app.notice, frame.area().width, dim());
    // What is asked has its line, however small the terminal.
    notice.truncate(usize::from(frame.area().height.saturating_sub(3)));
    let notice_height = u16::try_from(notice.len()).unwrap_or(u16::MAX);
    let heights = [
        Constraint::Min(1),
        Constraint::Length(notice_height),
        Constraint::Length(1),
        Constraint::Length(1),
    ];
    let [cells, says, status, composer] = Layout::vertical(heights).areas(frame.area());
    let asked = Question::of(&app.transcript).map(|question| question.cell);
    let mut lines: Vec<Line> = Vec::new();
    let mut chosen = None;
    for cell in app.transcript.cells() {
        if matches!(cell.kind, CellKind::User { nth, .. } if app.chosen == Some(nth)) {
            chosen = Some(lines.len());
        }
        lines.extend(show(cell, app, asked == Some(cell.id), cells.width));
    }
    let hidden = lines.len().saturating_sub(usize::from(cells.height));
    let skipped = chosen.unwrap_or(hidden).min(hidden.saturating_sub(app.scrolled));
    let shown: Vec<Line> =
        lines.into_iter().skip(skipped).take(usize::from(cells.height)).collect();
    frame.render_widget(Paragraph::new(shown), cells);
    frame.render_widget(Paragraph::new(notice), says);
    frame.render_widget(Paragraph::new(status_line(app)), status);
    let written = format!("> {}", app.composer);
    let width = u16::try_from(Span::raw(&written).width()).unwrap_or(u16::MAX);
    let hidden = width.saturating_sub(composer.width.saturating_sub(1));
    frame.render_widget(Paragraph::new(written).scroll((0, hidden)), composer);
    frame.set_cursor_position(Position::new(composer.x + width - hidden, composer.y));
}

/// The question, while a call asks; else what goes on.
fn status_line(app: &App) -> Line<'static> {
    match Question::of(&app.transcript) {
        Some(Question { name, arguments, .. }) => {
            // The keys first: a narrow terminal cuts off what the cell above says too.
            let style = Style::new().fg(Color::Cyan).add_modifier(Modifier::BOLD);
            Line::styled(format!("? {KEYS}: {name} {arguments}"), style)
        }
        None => activity(app),
    }
}

/// What goes on, and how full the context is.
fn activity(app: &App) -> Line<'static> {
    let elapsed = app.elapsed();
    let tick = usize::try_from(elapsed.as_millis() / 100).unwrap_or_default();
    let seconds = elapsed.as_secs();
    let what = match app.transcript.activity() {
        Activity::Idle => String::new(),
        activity => {
            let what = match activity {
                Activity::Retry => retry(app),
                Activity::Tools => "running tools".into(),
                Activity::Compaction => "compacting".into(),
                Activity::Undo => "undoing".into(),
                Activity::Response => "answering".into(),
                _ => "waiting for the model".into(),
            };
            format!("{} {what} · {seconds} s · Esc interrupts", SPINNER[tick % SPINNER.len()])
        }
    };
    let left = app.transcript.status().usage.and_then(|usage| usage.percent_left());
    let gauge = left.map_or_else(String::new, |left| format!("{left} % of the context left"));
    let gap = if what.is_empty() || gauge.is_empty() { "" } else { " · " };
    Line::styled(format!("{what}{gap}{gauge}"), Style::new().fg(Color::Cyan))
}

fn retry(app: &App) -> String {
    let retry = app.transcript.status().retry.as_ref();
    retry.map_or_else(String::new, |retry| {
        format!("reconnecting {}/{}: {}", retry.attempt, retry.max_attempts, retry.problem.message)
    })
}

/// The lines of one cell.
fn show(cell: &Cell, app: &App, is_asked: bool, width: u16) -> Vec<Line<'static>> {
    let (text, style) = match &cell.kind {
        CellKind::User { text, images, nth } => {
            let chosen = app.chosen == Some(*nth);
            let style = Style::new().fg(Color::Green);
            let style = if chosen { style.add_modifier(Modifier::REVERSED) } else { style };
            let images = if *images > 0 { format!(" [{images} images]") } else { String::new() };
            (format!("\n> {text}{images}"), style)
        }
        CellKind::Agent { text, state } => (format!("{text}{}", mark(*state)), Style::new()),
        CellKind::Reasoning { text, state } => {
            (format!("{text}{}", mark(*state)), dim().add_modifier(Modifier::ITALIC))
        }
        CellKind::Tool { name, arguments, state, .. } => {
            let style = Style::new().fg(Color::Yellow);
            let style = if is_asked { style.add_modifier(Modifier::REVERSED) } else { style };
            (format!("* {name} {arguments}\n{}", tool(state)), style)
        }
        CellKind::Compaction { state, .. } => (compaction(state), dim()),
        CellKind::Review { prompt, state, output } => {
            let found = output.as_ref().map_or("", |output| &output.overall_explanation);
            (
                format!("review of: {prompt}{}\n{found}", mark(*state)),
                Style::new().fg(Color::Magenta),
            )
        }
        CellKind::Undo { message, state } => {
            let state = match state {
                UndoState::Running => "undoing",
                UndoState::Done => "undone",
                _ => "not undone",
            };
            (format!("{state}: {}", message.as_deref().unwrap_or_default()), dim())
        }
        CellKind::Error(problem) | CellKind::Warning(problem) => {
            (format!("! {}", problem.message), Style::new().fg(Color::Red))
        }
        CellKind::Aborted { reason } => (format!("- {} -", reason.as_str()), dim()),
        CellKind::Notice { text } => (text.clone(), dim()),
        CellKind::Gap { first, last } => (format!("[events {first} to {last} were missed]"), dim()),
        CellKind::WebSearch { query, .. } => (format!("searched: {query}"), dim()),
        _ => return Vec::new(),
    };
    if text.is_empty() { Vec::new() } else { wrapped(&text, width, style) }
}

fn mark(state: ItemState) -> &'static str {
    match state {
        ItemState::CutOff => " [cut off]",
        _ => "",
    }
}

fn tool(state: &ToolState) -> String {
    match state {
        ToolState::Waiting { .. } => "  waits for your word".into(),
        ToolState::Answered { approved: true } => "  may run, and waits for its turn".into(),
        ToolState::Answered { approved: false } => "  does not run".into(),
        ToolState::Running { progress } => {
            format!("  runs {}", progress.as_deref().unwrap_or_default())
        }
        ToolState::Denied { reason } => format!("  {reason}"),
        ToolState::Ended { output, .. } => {
            let lines: Vec<&str> = output.lines().collect();
            let mut shown: Vec<String> =
                lines.iter().take(OUTPUT_LINES).map(|line| format!("  {line}")).collect();
            if lines.len() > OUTPUT_LINES {
                shown.push(format!("  … {} more lines", lines.len() - OUTPUT_LINES));
            }
            shown.join("\n")
        }
        ToolState::Stopped { had_started: true } => "  stopped".into(),
        ToolState::Stopped { .. } => "  not started".into(),
        _ => "  no end is known".into(),
    }
}

fn compaction(state: &CompactionState) -> String {
    match state {
        CompactionState::Running => "compacting …".into(),
        CompactionState::Done { report: Some(report) } => format!(
            "compacted by {}: {} tokens became {}",
            report.strategy, report.tokens_before, report.tokens_after
        ),
        CompactionState::Done { .. } => "compacted".into(),
        _ => "not compacted".into(),
    }
}

fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

/// The text in lines of this width, broken between words where that is possible.
fn wrapped(text: &str, width: u16, style: Style) -> Vec<Line<'static>> {
    let width = usize::from(width.max(1));
    let lines = Text::raw(text.replace('\t', "    ")).lines.into_iter();
    let lines = lines.flat_map(|line| wrap_line(&line.to_string(), width));
    lines.map(|line| Line::styled(line, style)).collect()
}

fn wrap_line(line: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let (mut used, mut rest) = (0, line);
    while !rest.is_empty() {
        let end = rest.find(' ').map_or(rest.len(), |space| space + 1);
        let (word, after) = rest.split_at(end);
        let wide = Span::raw(word.trim_end()).width();
        if used + wide > width && used > 0 {
            lines.push(String::new());
            used = 0;
        }
        for letter in word.chars().filter(|letter| !letter.is_control()) {
            let wide = Span::raw(letter.to_string()).width();
            if used + wide > width {
                lines.push(String::new());
                used = 0;
            }
            if let Some(line) = lines.last_mut() {
                line.push(letter);
            }
            used += wide;
        }
        rest = after;
    }
    lines
}
