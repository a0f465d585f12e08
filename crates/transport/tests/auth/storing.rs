//! When the new tokens cannot be stored.
//!
//! G8 (one refresh).

use std::fs;

use longhaul_transport::auth::{Auth, Login};
use serde_json::json;

use crate::support::*;

/// Keeps the next version of the login from being written.
fn obstruct(folder: &Folder) {
    fs::create_dir_all(folder.path().join("auth.json.new/full")).unwrap();
}

fn clear(folder: &Folder) {
    fs::remove_dir_all(folder.path().join("auth.json.new")).unwrap();
}

#[tokio::test]
async fn f070_tokens_that_cannot_be_stored_are_used_and_stored_later() {
    let folder = Folder::new();
    write_login(&folder.login(), &login_file("acc", &access(0, -HOUR), 0));
    let before = fs::read(folder.login()).unwrap();
    obstruct(&folder);
    let issuer = Issuer::start(HOUR).await;
    let login = open(&folder.login(), issuer.options());
    for _ in 0..3 {
        assert_eq!(number(&bearer(&login).await), 1);
        assert_eq!(fs::read(folder.login()).unwrap(), before, "the old file is whole");
    }
    // Another process has the old file alone: its token is spent, and it does not send it.
    let other = open(&folder.login(), issuer.options());
    let error = ask(&other).await.unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains("sign in again"), "{error}");
    assert_eq!(issuer.sent(), [refresh(0)]);

    clear(&folder);
    assert_eq!(number(&bearer(&login).await), 1);
    assert_eq!(read_login(&folder.login())["tokens"]["refresh_token"], json!(refresh(1)));
    assert_eq!(read_login(&folder.login())["unknown"], json!({"kept": "as it is"}));
    assert_eq!(number(&bearer(&other).await), 1, "the other process takes what is stored now");
    assert_eq!(folder.names(), ["auth.json", "auth.json.lock"]);
}

#[tokio::test]
async fn f070_tokens_in_memory_are_refreshed_with_their_own_refresh_token() {
    let folder = Folder::new();
    write_login(&folder.login(), &login_file("acc", &access(0, -HOUR), 0));
    obstruct(&folder);
    let issuer = Issuer::start(HOUR).await;
    let login = open(&folder.login(), issuer.options());
    assert_eq!(number(&bearer(&login).await), 1);
    assert!(login.refresh(2).await.unwrap());
    // A file that was only touched holds nothing newer.
    let same = fs::read(folder.login()).unwrap();
    write(&folder.login(), same);
    assert_eq!(number(&bearer(&login).await), 2);
    clear(&folder);
    assert!(login.refresh(3).await.unwrap());
    assert_eq!(issuer.sent(), [refresh(0), refresh(1), refresh(2)]);
    assert_eq!(read_login(&folder.login())["tokens"]["refresh_token"], json!(refresh(3)));
}

#[tokio::test]
async fn f070_a_sign_in_meanwhile_wins_over_tokens_in_memory() {
    let folder = Folder::new();
    write_login(&folder.login(), &login_file("acc", &access(0, -HOUR), 0));
    obstruct(&folder);
    let issuer = Issuer::start(HOUR).await;
    let login = open(&folder.login(), issuer.options());
    assert_eq!(number(&bearer(&login).await), 1);
    let signed_in = login_file("other", &lasting(9), 9);
    write_login(&folder.login(), &signed_in);
    clear(&folder);
    assert_eq!(carried(&login).await, (lasting(9), Some("other".into())));
    assert_eq!(read_login(&folder.login()), signed_in);
}

/// Nothing is sent if it cannot be noted that it is.
#[tokio::test]
async fn f070_a_refresh_that_cannot_be_locked_is_not_sent() {
    let folder = Folder::new();
    write_login(&folder.login(), &login_file("acc", &access(0, 200), 0));
    let elsewhere = folder.path().join("elsewhere");
    fs::write(&elsewhere, "kept").unwrap();
    let lock = folder.path().join("auth.json.lock");
    std::os::unix::fs::symlink(&elsewhere, &lock).unwrap();
    let issuer = Issuer::start(HOUR).await;
    let login = open(&folder.login(), issuer.options());
    assert_eq!(number(&bearer(&login).await), 0, "it is good for a while yet");
    let error = login.refresh(1).await.unwrap_err();
    assert!(error.to_string().contains("auth.json.lock"), "{error}");
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "kept");
    assert!(issuer.sent().is_empty());
    fs::remove_file(&lock).unwrap();
    assert!(login.refresh(1).await.unwrap());
}

#[tokio::test]
async fn what_a_dead_process_left_beside_the_login_is_replaced() {
    let folder = Folder::new();
    write_login(&folder.login(), &login_file("acc", &access(0, -HOUR), 0));
    fs::write(folder.path().join("auth.json.new"), "half of a login").unwrap();
    fs::write(folder.path().join("auth.json.lock"), "").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(folder.path().join("auth.json.lock"), mode).unwrap();
    let issuer = Issuer::start(HOUR).await;
    assert_eq!(number(&bearer(&open(&folder.login(), issuer.options())).await), 1);
    assert_eq!(folder.names(), ["auth.json", "auth.json.lock"]);
}

/// A process that died before the rename leaves the newest tokens beside the login.
#[tokio::test]
async fn signing_out_leaves_no_token_behind() {
    for is_signed_in in [true, false] {
        let folder = Folder::new();
        if is_signed_in {
            write_login(&folder.login(), &login_file("acc", &access(0, HOUR), 0));
        }
        let left = folder.path().join("auth.json.new");
        std::fs::write(&left, refresh(9)).unwrap();
        assert_eq!(Login::delete(folder.login()).await.unwrap(), is_signed_in);
        assert!(!left.exists(), "{:?}", folder.names());
        assert!(!folder.login().exists());
    }
}
