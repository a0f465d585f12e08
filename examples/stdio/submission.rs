//! Submissions, a line each.

use longhaul::state::protocol::Op;
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

use crate::json::repeated_key;

/// The longest line, in bytes: room for some images.
const MAX_LINE_BYTES: u64 = 64 * 1024 * 1024;

/// What a line of stdin asks for.
pub(crate) enum Line {
    /// An operation.
    Submission { id: String, op: Op },
    /// The end.
    Shutdown { id: String },
    /// Nothing.
    Blank,
    /// Something that is no submission.
    Invalid { id: String, problem: String },
    /// Stdin has ended.
    End,
}

/// Reads the next line.
pub(crate) async fn read(stdin: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Line> {
    let mut line = Vec::new();
    (&mut *stdin).take(MAX_LINE_BYTES).read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Ok(Line::End);
    }
    if line.len() as u64 == MAX_LINE_BYTES && !line.ends_with(b"\n") {
        skip_line(stdin).await?;
        let problem = format!("the line is longer than {MAX_LINE_BYTES} bytes");
        return Ok(invalid("", problem));
    }
    Ok(parse(&line))
}

/// Reads on to the end of the line and forgets it.
async fn skip_line(stdin: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<()> {
    loop {
        let buffer = stdin.fill_buf().await?;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(buffer.len(), |end| end + 1);
        stdin.consume(length);
        if end.is_some() || length == 0 {
            return Ok(());
        }
    }
}

fn invalid(id: &str, problem: impl Into<String>) -> Line {
    Line::Invalid { id: id.to_owned(), problem: problem.into() }
}

fn parse(line: &[u8]) -> Line {
    if line.trim_ascii().is_empty() {
        return Line::Blank;
    }
    let bytes = line;
    let mut line: Value = match serde_json::from_slice(bytes) {
        Ok(line) => line,
        Err(error) => return invalid("", format!("the line is not JSON: {error}")),
    };
    let id = line["id"].as_str().unwrap_or_default().to_owned();
    let Some(fields) = line.as_object_mut() else {
        return invalid("", "the line is not a JSON object");
    };
    if let Some(key) = repeated_key(bytes) {
        // Of two ids neither is the client's.
        let id = if key == "id" { "" } else { &id };
        return invalid(id, format!("`{key}` is there twice"));
    }
    if let Some(key) = fields.keys().find(|key| !matches!(key.as_str(), "id" | "op")) {
        return invalid(&id, format!("unknown field `{key}`, expected `id` and `op`"));
    }
    if !fields.get("id").is_some_and(Value::is_string) {
        return invalid("", "`id` is missing or not a string");
    }
    let Some(op) = fields.remove("op") else {
        return invalid(&id, "`op` is missing");
    };
    match serde_json::from_value(op) {
        Ok(Op::Shutdown) => Line::Shutdown { id },
        Ok(op) => Line::Submission { id, op },
        Err(error) => invalid(&id, format!("`op`: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn problem(line: &str) -> (String, String) {
        match read(&mut line.as_bytes()).await.unwrap() {
            Line::Invalid { id, problem } => (id, problem),
            _ => panic!("{line} was accepted"),
        }
    }

    #[tokio::test]
    async fn a_bad_line_is_answered_with_its_field() {
        let table = [
            ("hello", "", "the line is not JSON"),
            ("[1]", "", "the line is not a JSON object"),
            (r#"{"op":{"type":"interrupt"}}"#, "", "`id`"),
            (r#"{"id":7,"op":{"type":"interrupt"}}"#, "", "`id`"),
            (r#"{"id":"1"}"#, "1", "`op` is missing"),
            (r#"{"id":"1","op":{}}"#, "1", "`type`"),
            (r#"{"id":"1","op":{"type":"dance"}}"#, "1", "`dance`"),
            (r#"{"id":"1","op":{"type":"user_input"}}"#, "1", "`items`"),
            (r#"{"id":"1","op":{"type":"user_input","items":[{"type":"text"}]}}"#, "1", "`text`"),
            (r#"{"id":"1","op":{"type":"user_input","items":[],"x":1}}"#, "1", "`x`"),
            (r#"{"id":"1","op":{"type":"user_turn","items":[],"modle":"m"}}"#, "1", "`modle`"),
            (r#"{"id":"1","op":{"type":"interrupt"},"x":1}"#, "1", "`x`"),
            (r#"{"id":"1","id":"2","op":{"type":"interrupt"}}"#, "", "`id` is there twice"),
            (r#"{"id":"1","op":{"type":"interrupt"},"op":{}}"#, "1", "`op` is there twice"),
            (
                r#"{"id":"1","op":{"type":"interrupt","type":"shutdown"}}"#,
                "1",
                "`op.type` is there twice",
            ),
            (
                r#"{"id":"1","op":{"type":"user_input","items":[{"type":"text","text":"a","text":"b"}]}}"#,
                "1",
                "`op.items[0].text` is there twice",
            ),
        ];
        for (line, id, part) in table {
            let (seen_id, problem) = problem(line).await;
            assert_eq!(seen_id, id, "{line}");
            assert!(problem.contains(part), "{line}: {problem}");
        }
    }
}
