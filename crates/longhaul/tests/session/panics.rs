//! What a process prints that panics, and leaves behind.

use std::fs;
use std::path::Path;
use std::process::Command;

use longhaul::prelude::*;
use longhaul::rollout::FileStore;
use longhaul::transport::auth::{ApiKey, Secret};
use longhaul_testkit::patience;
use longhaul_testkit::server::{Reply, Server};

use super::support::{Folder, Probe, WINDOW, provider};

const HOME: &str = "LONGHAUL_PANICS_HOME";
const CANARY: &str = "sk-canary-4711";

/// A session whose tool panics, in a process that panics while it is open. In other runs it does nothing.
#[tokio::test]
async fn child() {
    let Ok(home) = std::env::var(HOME) else { return };
    let replies = [Reply::calls([("c", "panics", "{}")]), Reply::text("done")];
    let server = Server::start(replies).await.unwrap();
    let provider = provider(&server).with_auth(ApiKey(Secret::new(CANARY)));
    let panics = Probe::new("panics", |_, _| async { panic!("a tool") }).write();
    let agent = Agent::builder("test-model", provider).context_window(WINDOW).tool(panics);
    let agent = agent.store(FileStore::new(home)).build().unwrap();
    let session = agent.session().start().await.unwrap();
    session.prompt("a").await.unwrap().await.unwrap();
    let sent = server.requests()[1].header("authorization").is_some_and(|it| it.contains(CANARY));
    assert!(sent, "it was not sent");
    panic!("a host with {:?}", session.token_count());
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|it| if it.is_dir() { files(&it) } else { vec![fs::read(it).unwrap()] })
        .collect()
}

#[test]
fn f124_no_secret_is_in_what_a_panic_prints_or_in_what_its_process_leaves() {
    let folder = Folder::new();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["panics::child", "--exact", "--nocapture", "--test-threads=1"]);
    child.env(HOME, &folder.0).env("RUST_BACKTRACE", "full");
    let ended = patience::output(&mut child).unwrap();
    assert!(!ended.status.success());
    let printed = [ended.stdout, ended.stderr].concat();
    for told in ["a tool", "a host", "stack backtrace"] {
        assert!(holds(&printed, told), "{told}: {}", String::from_utf8_lossy(&printed));
    }
    let left = files(&folder.0);
    assert!(left.iter().any(|file| holds(file, "panics")), "the log is there");
    assert!(!left.iter().chain([&printed]).any(|bytes| holds(bytes, CANARY)));
}
