//! Tokens over turns, as an SVG.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{fs, io};

use longhaul::compaction::Report;

/// Of the whole picture, and the margins around the axes. All in pixels.
const WIDTH: f64 = 840.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 30.0;
const RIGHT: f64 = 20.0;
const BOTTOM: f64 = 45.0;

/// Gray, blue, orange of a middle lightness: they stand out from white and from black.
const STYLE: &str = "text { font: 12px sans-serif; fill: #808080 } .end { text-anchor: end } \
     .middle { text-anchor: middle } .axis { stroke: #808080; fill: none } \
     .grid { stroke: #808080; opacity: 0.25 } .limit { stroke: #d9822b; stroke-dasharray: 6 4 } \
     .tokens { stroke: #3b8ee0; stroke-width: 1.5; fill: none } .compaction { stroke: #d9822b; fill: none } \
     .summarise { fill: #d9822b }";

/// Tokens over turns.
pub(crate) struct Plot {
    limit: u64,
    /// Turn and tokens.
    line: Vec<(f64, f64)>,
    /// The same, right after each, and its strategy.
    compactions: Vec<(f64, f64, String)>,
}

impl Plot {
    /// An empty plot. From `limit` tokens on the conversation is compacted.
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, line: Vec::new(), compactions: Vec::new() }
    }

    pub(crate) fn turn(&mut self, number: u32, tokens: u64) {
        self.line.push((number.into(), float(tokens)));
    }

    /// A compaction in turn `number`.
    pub(crate) fn compaction(&mut self, number: u32, report: &Report) {
        let (turn, after) = (f64::from(number) - 0.5, float(report.tokens_after));
        self.line.extend([(turn, float(report.tokens_before)), (turn, after)]);
        self.compactions.push((turn, after, report.strategy.clone()));
    }

    pub(crate) fn compactions(&self) -> usize {
        self.compactions.len()
    }

    /// Writes the picture to `target/long_session.svg` and says where that is.
    pub(crate) fn write(&self) -> io::Result<PathBuf> {
        let path = Path::new("target").join("long_session.svg");
        fs::create_dir_all("target")?;
        fs::write(&path, self.svg())?;
        Ok(path)
    }

    fn svg(&self) -> String {
        let (x, y) = (self.x_axis(), self.y_axis());
        let (left, right) = (LEFT, WIDTH - RIGHT);
        let (top, bottom) = (TOP, HEIGHT - BOTTOM);
        let mut out = Svg(String::new());
        out.add(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\">\n\
             <style>{STYLE}</style>"
        ));
        for tokens in y.ticks() {
            let at = y.at(tokens);
            out.line("grid", (left, at), (right, at));
            out.text("end", (left - 8.0, at + 4.0), &format!("{}k", tokens / 1_000.0));
        }
        for turn in x.ticks() {
            out.text("middle", (x.at(turn), bottom + 18.0), &turn.to_string());
        }
        out.text("middle", (f64::midpoint(left, right), HEIGHT - 8.0), "turn");
        out.text("", (8.0, 16.0), "tokens in the context");
        out.add(format_args!(r#"<path class="axis" d="M{left} {top}V{bottom}H{right}"/>"#));
        let limit = y.at(float(self.limit));
        out.line("limit", (left, limit), (right, limit));
        out.text("end", (right, limit - 6.0), &format!("limit: {}", grouped(self.limit)));
        let mut points = String::new();
        for (turn, tokens) in &self.line {
            // Writing to a string cannot fail.
            let _ = write!(points, "{:.1},{:.1} ", x.at(*turn), y.at(*tokens));
        }
        out.add(format_args!(r#"<polyline class="tokens" points="{}"/>"#, points.trim_end()));
        for (turn, after, strategy) in &self.compactions {
            let (cx, cy) = (x.at(*turn), y.at(*after));
            out.add(format_args!(
                r#"<circle class="compaction {strategy}" cx="{cx:.1}" cy="{cy:.1}" r="4"/>"#
            ));
        }
        out.text(
            "middle",
            (f64::midpoint(left, right), 16.0),
            "compactions: ● by a summary, ○ without a model",
        );
        out.add(format_args!("</svg>"));
        out.0
    }

    fn x_axis(&self) -> Axis {
        let last = self.line.last().map_or(1.0, |(turn, _)| *turn);
        Axis {
            from: LEFT,
            to: WIDTH - RIGHT,
            most: last,
            step: if last > 50.0 { 20.0 } else { 2.0 },
        }
    }

    fn y_axis(&self) -> Axis {
        let most = self.line.iter().map(|(_, tokens)| *tokens).fold(float(self.limit), f64::max);
        let most = (most * 1.1 / 1_000.0).ceil() * 1_000.0;
        let step = (most / 5_000.0).ceil() * 1_000.0;
        Axis { from: HEIGHT - BOTTOM, to: TOP, most, step }
    }
}

/// Where numbers from 0 to `most` stand in the picture.
struct Axis {
    from: f64,
    to: f64,
    most: f64,
    step: f64,
}

impl Axis {
    fn at(&self, number: f64) -> f64 {
        self.from + (self.to - self.from) * number / self.most
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let tick = |before: &f64| Some(before + self.step).filter(|tick| *tick <= self.most);
        std::iter::successors(Some(0.0), tick)
    }
}

struct Svg(String);

impl Svg {
    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{element}");
    }

    fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.add(format_args!(
            r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#
        ));
    }

    fn text(&mut self, class: &str, (x, y): (f64, f64), text: &str) {
        self.add(format_args!(r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{text}</text>"#));
    }
}

/// The number for the picture; the largest that there is room for, if it is larger.
fn float(number: u64) -> f64 {
    u32::try_from(number).unwrap_or(u32::MAX).into()
}

/// The number in groups of three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
