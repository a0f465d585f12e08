//! The file: what is read, what is refused, what survives.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use longhaul_transport::auth::{Auth, Login, LoginError, LoginOptions};
use longhaul_transport::{ErrorCode, Provider, Secret};
use serde_json::{Value, json};

use crate::support::*;

fn defaults() -> LoginOptions {
    LoginOptions::default()
}

#[test]
fn t122_a_missing_file_is_no_login() {
    let folder = Folder::new();
    let error = try_open(&folder.login(), defaults()).unwrap_err();
    assert!(error.is_not_signed_in());
    assert!(error.to_string().contains("auth.json"), "{error}");
}

#[tokio::test]
async fn t123_tokens_carry_the_account_and_tell_its_plan_and_email() {
    let folder = Folder::new();
    write_login(&folder.login(), &login_file("acc", &lasting(0), 0));
    let login = open(&folder.login(), defaults());
    let account = login.account().unwrap();
    assert_eq!(account.email.as_deref(), Some("acc@example.com"));
    assert_eq!(account.plan.as_deref(), Some("plus"));
    assert_eq!(account.id.as_deref(), Some("acc"));
    assert_eq!(carried(&login).await, (lasting(0), Some("acc".into())));
    let header = &ask(&login).await.unwrap().headers["chatgpt-account-id"];
    assert!(header.is_sensitive());

    let mut by_claim = login_file("claimed", &lasting(0), 0);
    by_claim["tokens"]["account_id"] = Value::Null;
    write_login(&folder.login(), &by_claim);
    assert_eq!(carried(&login).await.1.as_deref(), Some("claimed"));
}

#[tokio::test]
async fn t043_t124_a_key_in_the_file_wins_over_tokens() {
    let folder = Folder::new();
    let mut file = login_file("acc", &access(0, -HOUR), 0);
    file["OPENAI_API_KEY"] = json!("sk-canary\n");
    write_login(&folder.login(), &file);
    let login = open(&folder.login(), defaults());
    assert_eq!(login.account(), None);
    assert_eq!(carried(&login).await, ("sk-canary".into(), None));
    assert!(!login.refresh(1).await.unwrap(), "a key is not refreshed");
    file["OPENAI_API_KEY"] = json!("");
    write_login(&folder.login(), &file);
    assert!(login.account().is_none(), "the file is looked at when a request is made");
    assert!(open(&folder.login(), defaults()).account().is_some());
}

#[tokio::test]
async fn t121_a_stored_key_replaces_everything() {
    let folder = Folder::new();
    write_login(&folder.login(), &login_file("acc", &lasting(0), 0));
    fs::set_permissions(folder.login(), fs::Permissions::from_mode(0o644)).unwrap();
    Login::store_key(folder.login(), &Secret::new("sk-canary-new")).await.unwrap();
    assert_eq!(read_login(&folder.login()), json!({"OPENAI_API_KEY": "sk-canary-new"}));
    let mode = fs::metadata(folder.login()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(bearer(&open(&folder.login(), defaults())).await, "sk-canary-new");
    assert_eq!(folder.names(), ["auth.json", "auth.json.lock"]);
    let bad = Login::store_key(folder.login(), &Secret::new("sk-can\nary")).await.unwrap_err();
    assert!(!printed(&bad).contains("ary\""), "{bad}");
}

#[tokio::test]
async fn t125_signing_out_deletes_the_file_and_ends_its_use() {
    let folder = Folder::new();
    write_login(&folder.login(), &login_file("acc", &lasting(0), 0));
    let login = open(&folder.login(), defaults());
    assert!(Login::delete(folder.login()).await.unwrap());
    assert!(!Login::delete(folder.login()).await.unwrap());
    let error = ask(&login).await.unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), (ErrorCode::Unauthorized, false));
    assert!(error.to_string().contains("sign in"), "{error}");
}

/// Every beginning of a good file, and files that are bad in one way each.
#[test]
fn f069_a_file_that_is_torn_or_unsafe_is_refused_and_left_alone() {
    let folder = Folder::new();
    let path = folder.login();
    let good = login_file("acc", &lasting(0), 0).to_string();
    let refuse = |what: &str| {
        let before = fs::read(&path).ok();
        let error = try_open(&path, defaults()).unwrap_err();
        assert!(matches!(error, LoginError::File { .. }), "{what}: {error:?}");
        let text = printed(&error);
        assert!(text.contains("auth.json"), "{text}");
        assert!(!text.contains(CANARY), "{text}");
        assert_eq!(error.to_string().lines().count(), 1, "{text}");
        assert_eq!(fs::read(&path).ok(), before, "{what}");
        error.to_string()
    };
    for end in 0..good.len() {
        write(&path, &good[..end]);
        refuse(&good[..end]);
    }
    let tokens = json!({"access_token": access(0, 1), "refresh_token": "r"});
    for bad in [
        json!({}),
        json!([]),
        json!({"OPENAI_API_KEY": null}),
        json!({"OPENAI_API_KEY": 7}),
        json!({"tokens": {}}),
        json!({"tokens": {"access_token": format!("{CANARY}\n")}}),
        json!({"tokens": tokens, "last_refresh": 7}),
        json!({"tokens": {"access_token": "a", "refresh_token": ["canary"]}}),
    ] {
        write_login(&path, &bad);
        refuse(&bad.to_string());
    }
    write(&path, "x".repeat(2 << 20));
    assert!(refuse("large").contains("larger"));
    write(&path, &good);
    assert!(try_open(&path, defaults()).is_ok());
    for mode in [0o644, 0o640, 0o604, 0o660, 0o610, 0o601] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(refuse("mode").contains(&format!("chmod 600 {}", path.display())));
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let elsewhere = folder.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    symlink(&elsewhere, &path).unwrap();
    assert!(refuse("link").contains("symbolic link"));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(refuse("folder").contains("regular file"));
    fs::remove_dir(&path).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from(0o600),
        0,
    )
    .unwrap();
    assert!(matches!(try_open(&path, defaults()), Err(LoginError::File { .. })), "a pipe");
}

#[test]
fn f069_a_file_of_another_user_is_refused() {
    let folder = Folder::new();
    write_login(&folder.login(), &login_file("acc", &lasting(0), 0));
    // Only root can give a file away. Others find one of root's on every system; whose it is counts before its mode.
    let given = std::os::unix::fs::chown(folder.login(), Some(12345), None).is_ok();
    let path = if given { folder.login() } else { "/etc/passwd".into() };
    let error = try_open(&path, defaults()).unwrap_err().to_string();
    assert!(error.contains("another user"), "{error}");
}

#[tokio::test]
async fn f069_a_file_that_turns_bad_ends_its_use() {
    let folder = Folder::new();
    let path = folder.login();
    write_login(&path, &login_file("acc", &lasting(0), 0));
    let login = open(&path, defaults());
    assert!(ask(&login).await.is_ok());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(ask(&login).await.unwrap_err().code(), ErrorCode::Unauthorized);
    let error = login.refresh(1).await.unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), (ErrorCode::RefreshFailed, false));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(ask(&login).await.unwrap().generation, 1, "the same bearer again");
}

#[tokio::test]
async fn a_sign_in_by_another_program_is_noticed_at_the_next_request() {
    let folder = Folder::new();
    write_login(&folder.login(), &login_file("one", &lasting(1), 0));
    let login = open(&folder.login(), defaults());
    assert_eq!(ask(&login).await.unwrap().generation, 1);
    write_login(&folder.login(), &login_file("two", &lasting(2), 5));
    assert_eq!(carried(&login).await, (lasting(2), Some("two".into())));
    assert_eq!(ask(&login).await.unwrap().generation, 2);
    assert!(login.refresh(1).await.unwrap(), "there is a newer one already");
}

#[tokio::test]
async fn an_id_token_that_is_not_understood_hides_the_account_and_nothing_else() {
    let folder = Folder::new();
    for id in [json!("not a token"), json!("a.b.c"), json!(""), Value::Null, json!("\n")] {
        let mut file = login_file("acc", &lasting(0), 0);
        file["tokens"]["id_token"] = id;
        file["tokens"]["account_id"] = Value::Null;
        write_login(&folder.login(), &file);
        let login = open(&folder.login(), defaults());
        assert_eq!(carried(&login).await, (lasting(0), None));
        let account = login.account().unwrap();
        assert_eq!((account.id, account.email, account.plan), (None, None, None));
    }
}

/// What no token can be is refused by name, without showing it, whichever member it is in.
#[test]
fn f075_tokens_that_no_header_can_carry_are_refused_without_showing_them() {
    let folder = Folder::new();
    let long = format!("{CANARY}{}", "x".repeat(100 * 1024));
    let bad =
        ["canary\nx-injected: 1", "canary\r\n", "canary\0", "canäry-canary", " canary", &long];
    for value in bad {
        for member in ["access_token", "refresh_token", "account_id"] {
            let mut file = login_file("acc", &lasting(0), 0);
            file["tokens"][member] = json!(value);
            write_login(&folder.login(), &file);
            let error = try_open(&folder.login(), defaults()).unwrap_err();
            assert!(error.to_string().contains(member), "{error}");
            assert!(!printed(&error).contains(CANARY), "{error}");
        }
        write_login(&folder.login(), &json!({"OPENAI_API_KEY": value}));
        let opened = try_open(&folder.login(), defaults());
        // White space around a pasted key is taken off.
        assert_eq!(opened.is_ok(), value.trim() == CANARY, "{value:?}");
    }
}

#[tokio::test]
async fn f077_a_login_goes_to_its_own_origin_alone() {
    let folder = Folder::new();
    write_login(&folder.login(), &login_file("acc", &lasting(0), 0));
    let login = open(&folder.login(), defaults());
    for target in [
        "http://127.0.0.1:10/v1/responses",
        "https://127.0.0.1:9/v1/responses",
        "http://localhost:9/v1/responses",
        "http://127.0.0.1.example.com:9/v1/responses",
        "https://chatgpt.com/backend-api/codex/responses",
    ] {
        let error = login.credential(&target.parse().unwrap()).await.unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), (ErrorCode::Unauthorized, false));
        assert!(error.to_string().contains("http://127.0.0.1:9"), "{error}");
    }
    assert!(ask(&login).await.is_ok());
}

#[test]
fn f077_logins_are_for_the_profiles_that_take_them_over_protected_connections() {
    let folder = Folder::new();
    write_login(&folder.login(), &login_file("acc", &lasting(0), 0));
    let opened = |provider: &Provider, endpoint: &str| {
        let mut options = defaults();
        options.token_endpoint = endpoint.parse().unwrap();
        Login::open(folder.login(), provider, exchange(), options).map(drop)
    };
    let secure = "https://auth.example.com/oauth/token";
    let named = |name: &str, url: &str| Provider::named(name, Some(url)).unwrap();
    for provider in [
        Provider::custom("https://example.com/v1").unwrap(),
        named("azure", "https://example.com/v1"),
        named("mine", "https://example.com/v1"),
        Provider::neutral(),
    ] {
        let error = opened(&provider, secure).unwrap_err();
        assert!(matches!(error, LoginError::TakesNoLogin { .. }), "{error}");
    }
    for url in ["http://example.com/v1", "http://127.0.0.1.example.com/v1", "http://10.0.0.1/v1"] {
        let error = opened(&named("openai", url), secure).unwrap_err();
        assert!(matches!(error, LoginError::PlainHttp { .. }), "{error}");
        assert!(opened(&named("openai", "https://x/v1"), url).is_err(), "token endpoint {url}");
    }
    for url in ["http://127.0.0.1:1/v1", "http://[::1]:1/v1", "http://localhost/v1", "https://x/v1"]
    {
        opened(&named("chatgpt", url), secure).unwrap();
    }
    opened(&Provider::openai(Secret::new("k")), secure).unwrap();
    opened(&Provider::named("openai", None).unwrap(), secure).unwrap();
}

#[test]
fn a_login_prints_its_path_and_its_origin_and_nothing_else() {
    let folder = Folder::new();
    write_login(&folder.login(), &login_file("acc", &lasting(0), 0));
    let login = open(&folder.login(), defaults());
    let text = format!("{login:?} {login:#?}");
    assert!(text.contains("auth.json") && text.contains("http://127.0.0.1:9"), "{text}");
    assert!(!text.contains(CANARY), "{text}");
}
