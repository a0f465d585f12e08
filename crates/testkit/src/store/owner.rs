//! One writer at a time, and any number of readers.

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
