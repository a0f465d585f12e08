//! What the session's model is told of a review.

use std::fmt::Write;

use longhaul_history::Item;
use longhaul_state::protocol::{ReviewFinding, ReviewOutput};

/// The tag that marks the note as context: it is not the user's words.
const TAG: &str = "user_action";

/// The note about a review; without a result it was cut off.
pub(super) fn of(output: Option<&ReviewOutput>) -> Item {
    let (context, results) = match output {
        Some(output) => (
            "The user asked for a review, and it is done. They may ask you to act on it.",
            results(output),
        ),
        None => ("The user asked for a review, and it was interrupted.", "None.".into()),
    };
    // Nothing that a model wrote may end the note early.
    let results = results.replace(&format!("</{TAG}"), &format!("<\\/{TAG}"));
    Item::user(format!(
        "<{TAG}>\n  <context>{context}</context>\n  <action>review</action>\n  \
         <results>\n{results}\n  </results>\n</{TAG}>"
    ))
}

fn results(output: &ReviewOutput) -> String {
    let mut text = output.overall_explanation.clone();
    let header = match output.findings.len() {
        0 => return if text.is_empty() { "No findings.".into() } else { text },
        1 => "Review comment:",
        _ => "Review comments:",
    };
    if !text.is_empty() {
        text.push_str("\n\n");
    }
    text.push_str(header);
    output.findings.iter().for_each(|finding| write_finding(&mut text, finding));
    text
}

fn write_finding(text: &mut String, finding: &ReviewFinding) {
    let place = &finding.code_location;
    let (path, lines) = (&place.absolute_file_path, place.line_range);
    // Writing to a string cannot fail.
    let _ = write!(text, "\n\n- {} — {path}:{}-{}", finding.title, lines.start, lines.end);
    for line in finding.body.lines() {
        let _ = write!(text, "\n  {line}");
    }
}
