//! Lists: newest first, page by page.

use std::collections::BTreeSet;

use longhaul_rollout::{Cursor, Page, Query, Record, RecordKind, SessionMeta, Store, StoreError};
use serde_json::value::RawValue;

use super::Subject;
use super::sample::{START, first, input, item, session, session_id, started_at};

fn ids(page: &Page) -> Vec<&str> {
    page.sessions.iter().map(|session| &*session.id).collect()
}

async fn list(store: &dyn Store, query: Query) -> Page {
    store.list(&query).await.unwrap()
}

pub(super) async fn newest_first_page_by_page(subject: &impl Subject) {
    const COUNT: usize = 60;
    let store = subject.store();
    assert_eq!(list(&*store, Query::default()).await, Page::default());
    // In an order that is neither that of time nor its reverse.
    for n in (0..COUNT).map(|n| n * 7 % COUNT) {
        store.create(vec![session(n)]).await.unwrap();
    }
    let expected: Vec<_> = (0..COUNT).rev().map(session_id).collect();
    for limit in [1, 7, 20, 60, 61] {
        let mut listed = Vec::new();
        let mut query = Query::default().limit(limit);
        loop {
            let page = list(&*subject.store(), query.clone()).await;
            assert!(page.sessions.len() <= limit && page.unreadable.is_empty());
            listed.extend(page.sessions.into_iter().map(|session| session.id));
            let Some(cursor) = page.next else { break };
            // A cursor may be kept as text.
            query = query.after(Cursor::new(cursor.as_str()));
        }
        assert_eq!(listed, expected, "pages of {limit}");
    }
    // Sessions that start in between move no page.
    let page = list(&*store, Query::default().limit(10)).await;
    store.create(vec![session(COUNT)]).await.unwrap();
    let next = list(&*store, Query::default().limit(10).after(page.next.unwrap())).await;
    assert_eq!(ids(&next), expected[10..20]);
    let error = store.list(&Query::default().after(Cursor::new("../x"))).await.unwrap_err();
    assert!(matches!(error, StoreError::BadCursor { .. }));
}

/// Whether a filter takes the `n`-th session.
type Takes = fn(usize) -> bool;

pub(super) async fn filters(subject: &impl Subject) {
    let store = subject.store();
    for n in 0..24 {
        let mut meta = SessionMeta::new(session_id(n), started_at(n));
        meta.cwd = (n % 2 == 0).then(|| "/work".into());
        meta.model_provider = (n % 3 == 0).then(|| "mock".into());
        meta.source = Some(if n % 4 == 0 { "exec" } else { "cli" }.into());
        store.create(vec![first(&meta)]).await.unwrap();
    }
    let all = Query::default().limit(100);
    let table: [(Query, Takes); 6] = [
        (all.clone().cwd("/work"), |n| n % 2 == 0),
        (all.clone().model_provider("mock"), |n| n % 3 == 0),
        (all.clone().source("exec"), |n| n % 4 == 0),
        (all.clone().cwd("/work").model_provider("mock"), |n| n % 6 == 0),
        (all.clone().since(started_at(20)), |n| n >= 20),
        (all.clone().cwd("/wor"), |_| false),
    ];
    for (query, takes) in table {
        let expected: Vec<_> = (0..24).rev().filter(|n| takes(*n)).map(session_id).collect();
        assert_eq!(ids(&list(&*store, query.clone()).await), expected, "{query:?}");
        // Page by page it is the same.
        let mut listed = Vec::new();
        let mut seen = BTreeSet::new();
        let mut query = query.limit(2);
        loop {
            let page = list(&*store, query.clone()).await;
            listed.extend(page.sessions.into_iter().map(|session| session.id));
            let Some(cursor) = page.next else { break };
            assert!(seen.insert(cursor.as_str().to_owned()), "the list goes on");
            query = query.after(cursor);
        }
        assert_eq!(listed, expected);
    }
}

/// An input that waits is what the user said first, unless it is withdrawn before a turn takes it.
pub(super) async fn titles_of_inputs(subject: &impl Subject) {
    let (a, b) = (item("a"), item("b"));
    let accepted = |id: &str, item: &Record| {
        input(&format!(r#"{{"id":"{id}","state":"accepted","item":{}}}"#, item.payload.get()))
    };
    let gone = |id: &str, state: &str| input(&format!(r#"{{"id":"{id}","state":"{state}"}}"#));
    let taken = |id: &str| {
        let empty = RawValue::from_string("{}".into()).unwrap();
        Record::new(START, RecordKind::ResponseItem, empty).with_input(id)
    };
    let table = [
        (vec![accepted("1", &a)], Some("a")),
        (vec![accepted("1", &a), taken("1")], Some("a")),
        (vec![accepted("1", &a), gone("1", "withdrawn")], None),
        (vec![accepted("1", &a), gone("1", "taken")], None),
        (vec![accepted("1", &a), gone("1", "withdrawn"), b.clone()], Some("b")),
        (vec![accepted("1", &a), accepted("2", &b), gone("1", "withdrawn")], Some("b")),
        (vec![accepted("1", &a), accepted("2", &b), taken("2"), gone("1", "withdrawn")], Some("b")),
        (vec![accepted("1", &a), b.clone(), taken("1")], Some("b")),
        (vec![accepted("1", &a), gone("2", "withdrawn")], Some("a")),
    ];
    let store = subject.store();
    for (n, (records, _)) in table.iter().enumerate() {
        store.create([vec![session(n)], records.clone()].concat()).await.unwrap();
    }
    let page = list(&*store, Query::default()).await;
    let titles: Vec<_> = page.sessions.iter().rev().map(|it| it.title.as_deref()).collect();
    assert_eq!(titles, table.map(|(_, title)| title));
}

pub(super) async fn titles(subject: &impl Subject) {
    let context = "<environment_context>\\n  <cwd>/work</cwd>\\n</environment_context>";
    let long = "word ".repeat(25);
    let table = [
        (vec![], None),
        (vec![item(context)], None),
        (
            vec![item(context), item(r"How many\n  files?"), item("And now?")],
            Some("How many files?"),
        ),
        (vec![item(" "), item("x")], Some("x")),
    ];
    let store = subject.store();
    for (n, (records, _)) in table.iter().enumerate() {
        store.create([vec![session(n)], records.clone()].concat()).await.unwrap();
    }
    store.create(vec![session(4), item(&long)]).await.unwrap();
    let page = list(&*store, Query::default()).await;
    let titles: Vec<_> = page.sessions.iter().rev().map(|it| it.title.as_deref()).collect();
    assert_eq!(titles[..4], table.map(|(_, title)| title));
    assert!(titles[4].is_some_and(|title| long.starts_with(title) && title.len() > 100));
    let session = &page.sessions[0];
    assert_eq!((&*session.id, session.started_at), (&*session_id(4), started_at(4)));
    assert_eq!(session.originator.as_deref(), Some("longhaul"));
}
