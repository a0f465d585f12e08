//! What a review found.

use serde::{Deserialize, Serialize};

/// What a review found. What its model left out is empty.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ReviewOutput {
    /// What is wrong, each by itself.
    pub findings: Vec<ReviewFinding>,
    /// Whether the work is correct, in the model's words.
    pub overall_correctness: String,
    /// Its verdict; the whole answer, if that had another form.
    pub overall_explanation: String,
    /// How sure it is, from 0 to 1.
    pub overall_confidence_score: f64,
}

impl ReviewOutput {
    /// A review of which nothing but a text is known.
    pub fn explained(explanation: impl Into<String>) -> Self {
        Self { overall_explanation: explanation.into(), ..Self::default() }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ReviewFinding {
    /// It in a few words.
    pub title: String,
    /// It in full.
    pub body: String,
    /// How sure the model is, from 0 to 1.
    pub confidence_score: f64,
    /// How much it matters: 0 most.
    pub priority: i32,
    /// Where it is.
    pub code_location: CodeLocation,
}

/// A place in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct CodeLocation {
    /// The file.
    pub absolute_file_path: String,
    /// Its lines.
    pub line_range: LineRange,
}

/// Lines, from 1, both ends included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct LineRange {
    /// The first.
    pub start: u32,
    /// The last.
    pub end: u32,
}
