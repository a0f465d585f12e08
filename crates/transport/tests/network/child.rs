//! Tests in a process of their own, with roots or a memory of their own. On Linux alone: elsewhere the platform
//! verifier reads no `SSL_CERT_FILE`, and there is no `/proc` that tells of memory.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use longhaul_testkit::patience;
use longhaul_testkit::tls::Authority;
use tokio::time::timeout;

use super::support::NEVER;

/// Names the test that a child is to run.
const VARIABLE: &str = "LONGHAUL_TEST_CHILD";

/// Runs `body` in a child process whose platform roots are one test authority, on a runtime with two threads.
///
/// `name` is the test's own, with its module.
pub(crate) fn with_own_roots<F: Future<Output = ()>>(
    name: &str,
    body: impl FnOnce(Authority) -> F,
) {
    if env::var(VARIABLE).is_ok_and(|value| value == name) {
        let authority = Authority::new().unwrap();
        fs::write(env::var_os("SSL_CERT_FILE").unwrap(), authority.certificate_pem()).unwrap();
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
        return runtime.block_on(async { timeout(NEVER, body(authority)).await.unwrap() });
    }
    let roots = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!(
        "{}-{}.pem",
        name.replace("::", "-"),
        std::process::id()
    ));
    let mut child = Command::new(env::current_exe().unwrap());
    child
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(VARIABLE, name)
        .env("SSL_CERT_FILE", &roots)
        .env_remove("SSL_CERT_DIR");
    let child = patience::output(&mut child).unwrap();
    let _ = fs::remove_file(roots);
    let said = String::from_utf8_lossy(&child.stdout).into_owned()
        + &String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "the child failed:\n{said}");
    assert!(said.contains("1 passed"), "the child ran another test:\n{said}");
}

/// The most memory that this process has had so far, in bytes.
pub(crate) fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}
