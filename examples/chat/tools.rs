//! What the model can do: look at files, and write them if somebody says yes.

use std::io;
use std::path::{Component, Path, PathBuf};

use longhaul::tool::{FunctionTool, ToolContext, tool_with_context};

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Listing {
    /// A folder below the working folder; `.` for that itself.
    folder: String,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Reading {
    /// A file below the working folder.
    path: String,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Writing {
    /// A file below the working folder.
    path: String,
    /// All that is to be in it.
    content: String,
}

pub(crate) fn list_files() -> FunctionTool {
    tool_with_context("list_files", "Lists a folder.", list).read_only()
}

pub(crate) fn read_file() -> FunctionTool {
    tool_with_context("read_file", "Reads a text file.", read).read_only()
}

pub(crate) fn write_file() -> FunctionTool {
    let write =
        tool_with_context("write_file", "Writes a text file, in place of what it was.", write);
    write.idempotent().needs_approval()
}

async fn list(Listing { folder }: Listing, context: ToolContext) -> io::Result<String> {
    let mut names = Vec::new();
    let mut entries = tokio::fs::read_dir(below(&context, &folder)?).await?;
    while let Some(entry) = entries.next_entry().await? {
        let mark = if entry.file_type().await?.is_dir() { "/" } else { "" };
        names.push(format!("{}{mark}", entry.file_name().display()));
    }
    names.sort();
    Ok(names.join("\n"))
}

async fn read(Reading { path }: Reading, context: ToolContext) -> io::Result<String> {
    tokio::fs::read_to_string(below(&context, &path)?).await
}

async fn write(Writing { path, content }: Writing, context: ToolContext) -> io::Result<String> {
    tokio::fs::write(below(&context, &path)?, &content).await?;
    Ok(format!("{} bytes written", content.len()))
}

/// The path, if it stays below the working folder.
fn below(context: &ToolContext, path: &str) -> io::Result<PathBuf> {
    let stays = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    let path = Path::new(path);
    match context.cwd() {
        Some(cwd) if path.components().all(stays) => Ok(cwd.join(path)),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "give a path below the working folder, without `..`",
        )),
    }
}
