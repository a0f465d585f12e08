//! One writer at a time, and any number of readers.

use futures_util::future::join_all;
use jiff::SignedDuration;
use longhaul_rollout::{LogRef, OnDamage, Page, Query, RecordKind, SessionMeta, StoreError};

use super::Subject;
use super::content::{first, items, payloads, read};
use super::sample::{START, first as first_record, item, session, session_id};

async fn is_locked(subject: &impl Subject) -> bool {
    match subject.store().open(&first(), OnDamage::Refuse).await {
        Err(StoreError::Locked { holder, .. }) => {
            // The holder may have no number, but not another's.
            assert!(holder.pid.is_none_or(|pid| pid == std::process::id()));
            true
        }
        opened => {
            opened.unwrap();
            false
        }
    }
}

pub(super) async fn one_writer(subject: &impl Subject) {
    let mut writer = subject.store().create(vec![session(0)]).await.unwrap();
    assert!(is_locked(subject).await);
    writer.append(vec![item("0")]).await.unwrap();
    writer.close().await.unwrap();

    let opened = subject.store().open(&first(), OnDamage::Refuse).await.unwrap();
    assert!(is_locked(subject).await);
    opened.writer.close().await.unwrap();

    // One that is dropped gives the lock back, too.
    drop(subject.store().open(&first(), OnDamage::Refuse).await.unwrap());
    assert!(!is_locked(subject).await);

    // Other sessions are not concerned.
    let _other = subject.store().create(vec![session(1)]).await.unwrap();
    assert!(!is_locked(subject).await);
}

pub(super) async fn a_writer_of_an_old_epoch_is_refused(subject: &impl Subject) -> bool {
    let mut old = subject.store().create(vec![session(0)]).await.unwrap();
    if !subject.expire(&session_id(0)) {
        return false;
    }
    old.append(vec![item("0")]).await.unwrap();
    let mut new = subject.store().open(&first(), OnDamage::Refuse).await.unwrap().writer;
    for _ in 0..2 {
        let error = old.append(vec![item("lost")]).await.unwrap_err();
        assert!(matches!(error, StoreError::Superseded { epoch: 1, newest: 2, .. }), "{error}");
        new.append(vec![item("1")]).await.unwrap();
    }
    // It gives back nothing that it no longer has.
    drop(old);
    assert!(is_locked(subject).await);
    new.close().await.unwrap();
    let replay = read(&*subject.store()).await;
    assert_eq!(items(&replay), payloads(&[item("0"), item("1"), item("1")]));
    assert_eq!((replay.epoch, replay.next_ordinal), (2, 4));
    true
}

pub(super) async fn readers_need_no_lock(subject: &impl Subject) {
    let mut writer = subject.store().create(vec![session(0)]).await.unwrap();
    for n in 0..3 {
        let record = item(&n.to_string());
        writer.append(vec![record.clone()]).await.unwrap();
        let replay = read(&*subject.store()).await;
        assert_eq!(items(&replay).last(), payloads(&[record]).first());
    }
    let missing = LogRef::Id(session_id(7));
    for _ in 0..2 {
        let error = subject.store().read(&missing, OnDamage::Refuse.into()).await.unwrap_err();
        assert!(matches!(error, StoreError::NotFound { which } if which == session_id(7)));
        let error = subject.store().open(&missing, OnDamage::Refuse).await.unwrap_err();
        assert!(matches!(error, StoreError::NotFound { which } if which == session_id(7)));
    }
}

pub(super) async fn a_session_is_started_once(subject: &impl Subject) {
    let writer = subject.store().create(vec![session(0), item("0")]).await.unwrap();
    let again = subject.store().create(vec![session(0), item("1")]).await.unwrap_err();
    assert!(matches!(again, StoreError::Locked { .. }), "{again}");
    writer.close().await.unwrap();
    let again = subject.store().create(vec![session(0), item("1")]).await.unwrap_err();
    assert!(matches!(again, StoreError::Exists { .. }), "{again}");
    assert_eq!(items(&read(&*subject.store()).await), payloads(&[item("0")]));
    assert!(!is_locked(subject).await);
}

/// Whoever starts a session says when; that does not make another of it.
pub(super) async fn an_id_is_started_once_whenever(subject: &impl Subject) {
    let later = |days: i64| {
        let at = START + SignedDuration::from_hours(24 * days) + SignedDuration::from_secs(days);
        vec![first_record(&SessionMeta::new(session_id(0), at)), item(&days.to_string())]
    };
    let starts = (1..9).map(|days| {
        let store = subject.store();
        async move { store.create(later(days)).await }
    });
    let (started, refused): (Vec<_>, Vec<_>) =
        join_all(starts).await.into_iter().partition(Result::is_ok);
    assert_eq!((started.len(), refused.len()), (1, 7), "one of many that start it at once");
    for refused in refused {
        let error = refused.unwrap_err();
        assert!(matches!(error, StoreError::Locked { .. } | StoreError::Exists { .. }), "{error}");
    }
    let again = subject.store().create(later(-3)).await.unwrap_err();
    assert!(matches!(again, StoreError::Locked { .. }), "{again}");
    for writer in started {
        writer.unwrap().close().await.unwrap();
    }
    for days in [-3, 0, 20] {
        let again = subject.store().create(later(days)).await.unwrap_err();
        assert!(matches!(again, StoreError::Exists { .. }), "{again}");
    }
    let page = subject.store().list(&Query::default()).await.unwrap();
    assert_eq!((page.sessions.len(), page.unreadable.len()), (1, 0));
    assert!(!is_locked(subject).await);
}

pub(super) async fn what_is_no_start_is_refused(subject: &impl Subject) {
    let mut meta = SessionMeta::new(session_id(0), START);
    meta.timestamp = None;
    let mut other_kind = session(0);
    other_kind.kind = RecordKind::EventMsg;
    let escape = SessionMeta::new("../../../etc/cron.d/x", START);
    let mut later = SessionMeta::new(session_id(0), START);
    later.format_version = Some(u32::MAX);
    let starts = [
        vec![],
        vec![item("0"), session(0)],
        vec![other_kind],
        vec![first_record(&meta)],
        vec![first_record(&escape)],
        vec![first_record(&later)],
    ];
    for start in starts {
        let error = subject.store().create(start).await.unwrap_err();
        assert!(matches!(error, StoreError::BadStart { .. }), "{error}");
    }
    assert_eq!(subject.store().list(&Query::default()).await.unwrap(), Page::default());
}
