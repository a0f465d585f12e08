//! The agent of the chat.

use std::error::Error;
use std::path::{Path, PathBuf};

use longhaul::approval::Approvals;
use longhaul::coding::{CodingContext, INSTRUCTIONS, Snapshots, default_reasoning};
use longhaul::prelude::*;
use longhaul_testkit::server::Server;

use crate::{script, tools};

/// So that the gauge moves: an answer of the script says that it takes 20,200 tokens.
const SCRIPT_WINDOW: u64 = 64_000;

/// An agent, and what has to live as long as it.
pub(crate) struct Setup {
    pub(crate) agent: Agent,
    _server: Option<Server>,
    _folder: Option<Folder>,
}

impl Setup {
    /// An agent for the server that the environment names, or for a scripted one of our own.
    pub(crate) async fn new(cwd: Option<PathBuf>) -> Result<Self, Box<dyn Error>> {
        let is_online = std::env::var("OPENAI_BASE_URL").is_ok_and(|url| !url.trim().is_empty());
        let (provider, server, folder) = if is_online {
            (Provider::from_env()?, None, None)
        } else {
            let server = Server::start(script::script()).await?;
            let provider = Provider::named("openai", Some(&server.base_url()))?;
            (provider, Some(server), cwd.is_none().then(Folder::new).transpose()?)
        };
        let folder_path = folder.as_ref().map(|folder| folder.0.clone());
        let cwd = match cwd.or(folder_path) {
            Some(cwd) => cwd,
            None => std::env::current_dir()?,
        };
        let model = std::env::var("OPENAI_MODEL").unwrap_or_else(|_| "gpt-6-astra".into());
        let agent = Agent::builder(model, provider);
        // A script has no window; a server has its own.
        let agent = if is_online { agent } else { agent.context_window(SCRIPT_WINDOW) };
        let agent = agent
            .instructions(INSTRUCTIONS)
            .context(CodingContext::new(None))
            .default_reasoning(default_reasoning)
            .cwd(cwd)
            .tool(tools::list_files())
            .tool(tools::read_file())
            .tool(tools::write_file())
            .approvals(Approvals::answered())
            .task(Snapshots)
            .build()?;
        Ok(Self { agent, _server: server, _folder: folder })
    }
}

/// A folder to play in: a git repository with one file, removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, Box<dyn Error>> {
        let path = std::env::temp_dir().join(format!("longhaul-chat-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        let folder = Self(path.canonicalize()?);
        std::fs::write(folder.0.join("README.md"), "# A folder to play in\n")?;
        // Without git the chat works all the same, but for `/undo`, which says so.
        let _ = git(&folder.0).status();
        Ok(folder)
    }
}

fn git(folder: &Path) -> std::process::Command {
    let mut git = std::process::Command::new("git");
    git.args(["init", "--quiet"]).current_dir(folder);
    git.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    git
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left in a folder for temporary files is nobody's loss.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
