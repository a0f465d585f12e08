//! The list of log files: cheap, and not stopped by a bad one.

use std::fs;

use jiff::SignedDuration;
use longhaul_rollout::{Cursor, Fsync, OnDamage, Query, Record, RecordKind, Store};

use crate::support::*;

#[tokio::test]
async fn f089_a_bad_file_is_named_and_stops_nothing() {
    let folder = Folder::new();
    let store = folder.store().fsync(Fsync::Off);
    for n in 0..4 {
        store.create(vec![session(n), item("hi")]).await.unwrap();
    }
    let day = folder.path().join("sessions/2026/11/22");
    let bad = |n: usize, bytes: &[u8]| {
        let name = format!("rollout-2026-11-22T0{n}-00-00-{}.jsonl", session_id(100 + n));
        fs::write(day.join(&name), bytes).unwrap();
        day.join(name)
    };
    let expected = [
        bad(5, b"{}\n"),
        bad(4, "{\"a\":\u{0}}\n".as_bytes()),
        bad(3, b"\xff\xfe{\0\"\0"),
        bad(2, &b"x".repeat(300_000)),
        bad(1, b""),
        bad(0, b"{\"timestamp\":\"2026-11-22T09:30:47Z\",\"type\":\"event_msg\",\"payload\":1}\n"),
    ];
    // What is no log is not looked at.
    fs::write(day.join("rollout-x.jsonl"), "").unwrap();
    fs::write(day.join("notes.txt"), "").unwrap();
    fs::write(folder.path().join("sessions/2026/x"), "").unwrap();
    fs::create_dir_all(folder.path().join("sessions/archive/01/01")).unwrap();

    let page = store.list(&Query::default()).await.unwrap();
    let ids: Vec<_> = page.sessions.iter().map(|it| it.id.clone()).collect();
    assert_eq!(ids, [3, 2, 1, 0].map(session_id));
    let paths: Vec<_> = page.unreadable.iter().map(|it| it.path.clone()).collect();
    assert_eq!(paths, expected);
    let problems: Vec<_> = page.unreadable.iter().map(|it| &*it.problem).collect();
    assert_eq!(problems[0], "the field `timestamp` is missing: `{}`");
    assert_eq!(problems[3], "no first line within 65536 bytes");
    assert_eq!(problems[5], "begins with `event_msg`");
}

/// Years, months and days that no folder can be read of: files, links to nowhere and to themselves.
#[cfg(unix)]
#[tokio::test]
async fn f089_a_bad_folder_is_named_once_and_stops_nothing() {
    use std::os::unix::fs::symlink;

    let folder = Folder::new();
    let store = folder.store().fsync(Fsync::Off);
    for n in 0..2 {
        store.create(vec![session(n), item("hi")]).await.unwrap();
    }
    let sessions = folder.path().join("sessions");
    // One session is of before the bad folders of its month.
    let day = sessions.join("2026/11/20");
    fs::create_dir(&day).unwrap();
    let writer = store.create(vec![session(2)]).await.unwrap();
    let from = writer.path().unwrap().to_owned();
    writer.close().await.unwrap();
    fs::rename(&from, day.join(from.file_name().unwrap())).unwrap();

    let bad = ["2027", "2026/12", "2026/11/23", "2026/11/21", "2026/11/19", "2026/10", "2025"];
    let bad: Vec<_> = bad.iter().map(|name| sessions.join(name)).collect();
    for (n, path) in bad.iter().enumerate() {
        match n % 3 {
            0 => fs::write(path, "").unwrap(),
            1 => symlink("nowhere", path).unwrap(),
            _ => symlink(path, path).unwrap(),
        }
    }
    for limit in 1..5 {
        let (mut ids, mut named, mut query) = (vec![], vec![], Query::default().limit(limit));
        loop {
            let page = store.list(&query).await.unwrap();
            ids.extend(page.sessions.into_iter().map(|it| it.id));
            assert!(page.unreadable.iter().all(|it| !it.problem.is_empty()));
            named.extend(page.unreadable.into_iter().map(|it| it.path));
            let Some(cursor) = page.next else { break };
            query = query.after(cursor);
        }
        assert_eq!((ids, &named), ([1, 0, 2].map(session_id).to_vec(), &bad), "{limit} a page");
    }
    // Who asks for less is not told of more.
    let since = "2026-11-22T00:00:00Z".parse().unwrap();
    let page = store.list(&Query::default().since(since)).await.unwrap();
    let named: Vec<_> = page.unreadable.into_iter().map(|it| it.path).collect();
    assert_eq!((page.sessions.len(), &*named), (2, &bad[..4]));

    // A log is found beside them. One that is not may be in them.
    let read = async |n: usize| {
        let which = longhaul_rollout::LogRef::Id(session_id(n));
        store.read(&which, OnDamage::Refuse.into()).await
    };
    for n in 0..3 {
        assert!(read(n).await.is_ok(), "{n}");
    }
    let error = read(3).await.unwrap_err();
    assert!(matches!(error, longhaul_rollout::StoreError::Io { .. }), "{error}");
    assert!(error.to_string().contains("2026/12"), "{error}");
    // Nothing is in a file.
    bad.iter().filter(|path| !path.is_file()).for_each(|path| fs::remove_file(path).unwrap());
    let error = read(3).await.unwrap_err();
    assert!(matches!(error, longhaul_rollout::StoreError::NotFound { .. }), "{error}");
}

/// As a user who may read everything sees it, nothing is bad.
#[cfg(unix)]
#[tokio::test]
async fn a_folder_that_may_not_be_read_is_named_and_stops_nothing() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::new();
    let store = folder.store().fsync(Fsync::Off);
    store.create(vec![session(0)]).await.unwrap().close().await.unwrap();
    let closed = folder.path().join("sessions/2026/12");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o0)).unwrap();
    let is_closed = fs::read_dir(&closed).is_err();
    let page = store.list(&Query::default()).await.unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!((page.sessions.len(), page.unreadable.len()), (1, usize::from(is_closed)));
}

/// All of one day, and one of them no log.
#[tokio::test]
async fn f185_ten_thousand_sessions_are_listed_in_pages_and_a_bad_one_is_named() {
    const COUNT: usize = 10_000;
    const BAD: usize = 7_000;
    let folder = Folder::new();
    let (writer, path) = start(&folder.store()).await;
    writer.close().await.unwrap();
    let log = fs::read_to_string(&path).unwrap();
    let named = |n: usize| path.to_str().unwrap().replace(&session_id(0), &session_id(n));
    for n in 1..COUNT {
        let log =
            if n == BAD { "{}\n".into() } else { log.replace(&session_id(0), &session_id(n)) };
        fs::write(named(n), log).unwrap();
    }
    let (mut listed, mut unreadable, mut query) =
        (Vec::new(), Vec::new(), Query::default().limit(250));
    loop {
        let page = folder.store().list(&query).await.unwrap();
        assert!(page.sessions.len() <= 250 && page.unreadable.len() <= 1);
        listed.extend(page.sessions.into_iter().map(|it| it.id));
        unreadable.extend(page.unreadable.into_iter().map(|it| it.path));
        let Some(cursor) = page.next else { break };
        query = query.after(cursor);
    }
    let expected = (0..COUNT).rev().filter(|n| *n != BAD).map(session_id);
    assert_eq!(listed, expected.collect::<Vec<_>>());
    assert_eq!(unreadable, [std::path::PathBuf::from(named(BAD))]);
}

#[tokio::test]
async fn logs_of_codex_are_listed() {
    let folder = Folder::new();
    let day = folder.path().join("sessions/2026/11/22");
    fs::create_dir_all(&day).unwrap();
    let id = "01a20298-0250-7381-b6bd-90dbbc3d1c96";
    let path = day.join(format!("rollout-2026-11-22T09-30-46-{id}.jsonl"));
    let log = include_str!("../fixtures/plain.jsonl");
    for log in [log.to_owned(), format!("\u{feff}{}", log.replace('\n', "\r\n"))] {
        fs::write(&path, log).unwrap();
        let page = folder.store().list(&Query::default()).await.unwrap();
        let session = &page.sessions[0];
        assert_eq!((&*session.id, session.path.as_ref()), (id, Some(&path)));
        assert_eq!(session.cwd.as_deref(), Some("/home/user/project"));
        assert_eq!(session.model_provider.as_deref(), Some("mock"));
        assert!(session.title.is_some() && session.updated_at.is_some());
    }
}

#[tokio::test]
async fn an_entry_may_be_opened_by_its_path_or_its_id() {
    let folder = Folder::new();
    let store = folder.store();
    store.create(vec![session(0), item("hi")]).await.unwrap();
    let page = store.list(&Query::default()).await.unwrap();
    let path = page.sessions[0].path.clone().unwrap();
    let relative = path.strip_prefix(folder.path()).unwrap().to_owned();
    for path in [path, relative] {
        let opened = store.open(&longhaul_rollout::LogRef::Path(path), OnDamage::Refuse).await;
        assert_eq!(opened.unwrap().writer.session_id(), session_id(0));
    }
}

#[tokio::test]
async fn the_head_of_a_file_is_read_and_no_more() {
    let folder = Folder::new();
    let store = folder.store();
    let (mut writer, path) = start(&store).await;
    writer.append(vec![item(&"x".repeat(60_000)), item("a"), item("b")]).await.unwrap();
    writer.close().await.unwrap();
    // The first message is within the first 64 KiB; one behind them is not a title.
    let title = |page: longhaul_rollout::Page| page.sessions[0].title.clone();
    let found = title(store.list(&Query::default()).await.unwrap()).unwrap();
    assert_eq!(found, "x".repeat(120));
    let mut sparse = fs::read(&path).unwrap();
    let line = sparse.iter().position(|&b| b == b'\n').unwrap() + 1;
    let tail = sparse.split_off(line);
    let reasoning = r#"{"timestamp":"2026-11-22T09:30:47Z","type":"note","payload":"#;
    sparse.extend(format!("{reasoning}\"{}\"}}\n", "y".repeat(70_000)).bytes());
    sparse.extend(tail);
    fs::write(&path, sparse).unwrap();
    assert_eq!(title(store.list(&Query::default()).await.unwrap()), None);
}

/// What the user said beside an image, which a blob has, is the title; a text that a blob has is none.
#[tokio::test]
async fn a_title_is_what_was_said_beside_what_is_long() {
    let folder = Folder::new();
    let store = folder.store();
    let (mut writer, _) = start(&store).await;
    let long = "x".repeat(70_000);
    let image = format!(
        r#"{{"type":"message","role":"user","content":[{{"type":"input_image","image_url":"data:{long}"}},{{"type":"input_text","text":"{long}"}},{{"type":"input_text","text":"What is this?"}}]}}"#
    );
    let first = item("a");
    let image = serde_json::value::RawValue::from_string(image).unwrap();
    let image = Record::new(first.timestamp, RecordKind::ResponseItem, image);
    writer.append(vec![item(&long), image, item("later")]).await.unwrap();
    writer.close().await.unwrap();
    let page = store.list(&Query::default()).await.unwrap();
    assert_eq!(page.sessions[0].title.as_deref(), Some("What is this?"));
}

/// Folders of others are of local days, which may be the day before.
#[tokio::test]
async fn a_session_of_another_program_is_listed_since_its_time_whatever_its_folder() {
    let folder = Folder::new();
    let day = folder.path().join("sessions/2026/11/21");
    fs::create_dir_all(&day).unwrap();
    let id = "01a20298-0250-7381-b6bd-90dbbc3d1c96";
    let log = include_str!("../fixtures/plain.jsonl");
    fs::write(day.join(format!("rollout-2026-11-21T23-30-46-{id}.jsonl")), log).unwrap();
    let page = folder.store().list(&Query::default()).await.unwrap();
    let started_at = page.sessions[0].started_at;
    assert_eq!(started_at.strftime("%d").to_string(), "22");
    for (since, found) in [(started_at, 1), (started_at + SignedDuration::from_secs(1), 0)] {
        let page = folder.store().list(&Query::default().since(since)).await.unwrap();
        assert_eq!(page.sessions.len(), found);
    }
}

#[tokio::test]
async fn only_cursors_of_the_list_are_taken() {
    let folder = Folder::new();
    for bad in ["", "2026", "2026/11/22", "2026/11/2é/x", "../../../etc/passwd"] {
        let error = folder.store().list(&Query::default().after(Cursor::new(bad))).await;
        assert!(error.is_err(), "{bad}");
    }
}

/// There is no index that could say else than the logs do: whatever others do to files, the list and
/// who opens by an id go by what the logs say.
#[tokio::test]
async fn f112_logs_that_others_rename_remove_or_add_are_listed_as_they_are() {
    let folder = Folder::new();
    let store = folder.store().fsync(Fsync::Off);
    let mut paths = Vec::new();
    for n in 0..4 {
        let writer = store.create(vec![session(n), item(&n.to_string())]).await.unwrap();
        paths.push(writer.path().unwrap().to_owned());
        writer.close().await.unwrap();
    }
    let listed = async || {
        let page = folder.store().list(&Query::default()).await.unwrap();
        assert!(page.unreadable.is_empty(), "{:?}", page.unreadable);
        page.sessions.into_iter().map(|it| (it.id, it.title.unwrap())).collect::<Vec<_>>()
    };
    let title = async |n: usize| {
        let which = longhaul_rollout::LogRef::Id(session_id(n));
        let read = folder.store().read(&which, OnDamage::Refuse.into()).await;
        read.map(|it| text(it.items[0].item.json()).unwrap()).ok()
    };
    // A page that is read before does not bind: what it names may be gone.
    let before = listed().await;
    let row = |n: usize| (session_id(n), n.to_string());
    assert_eq!(before, [3, 2, 1, 0].map(row));
    fs::remove_file(&paths[3]).unwrap();
    assert_eq!((listed().await, title(3).await), ([2, 1, 0].map(row).to_vec(), None));
    // Two change their names, and each is found by what it says.
    let other = paths[0].with_extension("other");
    fs::rename(&paths[0], &other).unwrap();
    fs::rename(&paths[1], &paths[0]).unwrap();
    fs::rename(&other, &paths[1]).unwrap();
    assert_eq!(listed().await, [2, 0, 1].map(row));
    for n in 0..3 {
        assert_eq!(title(n).await, Some(n.to_string()));
    }
    // One gets a name that no session has, and one comes from elsewhere.
    let renamed = paths[2].to_str().unwrap().replace(&session_id(2), &session_id(9));
    fs::rename(&paths[2], renamed).unwrap();
    let elsewhere = Folder::new();
    let writer = elsewhere.store().create(vec![session(5), item("5")]).await.unwrap();
    fs::copy(writer.path().unwrap(), &paths[3]).unwrap();
    assert_eq!(listed().await.len(), 4);
    for (n, found) in [(2, Some("2".into())), (9, None), (5, Some("5".into())), (3, None)] {
        assert_eq!(title(n).await, found, "{n}");
    }
    // Who goes on with it writes to it, under the name that it has.
    let which = longhaul_rollout::LogRef::Id(session_id(5));
    let opened = store.open(&which, OnDamage::Refuse).await.unwrap();
    assert_eq!(
        (opened.writer.path(), opened.writer.session_id()),
        (Some(&*paths[3]), &*session_id(5))
    );
}
