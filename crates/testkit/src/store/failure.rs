//! What is left of a log after a failure, where the subject can bring one about.

use longhaul_rollout::{OnDamage, Query, Replay, StoreError};

use super::Subject;
use super::content::{first, items, payloads, read, store_all};
use super::sample::{item, session, session_id};

/// Opens the first log, and says no to so many items.
async fn is_refused(subject: &impl Subject, on_damage: OnDamage, count: usize) -> bool {
    let accept = Box::new(move |replay: &Replay| replay.items.len() != count);
    subject.store().open_if(&first(), on_damage, accept).await.unwrap().is_none()
}

pub(super) async fn a_torn_end_is_not_acknowledged(subject: &impl Subject) -> bool {
    let records = [item("0"), item("1")];
    store_all(&*subject.store(), &records).await;
    if !subject.tear(&session_id(0)) {
        return false;
    }
    let replay = read(&*subject.store()).await;
    assert_eq!(items(&replay), payloads(&records));
    assert!(replay.torn.is_some());
    assert!(is_refused(subject, OnDamage::Refuse, 2).await);
    let mut opened = subject.store().open(&first(), OnDamage::Refuse).await.unwrap();
    assert!(opened.replay.torn.is_some(), "the opener is told");
    assert_eq!(items(&opened.replay), payloads(&records));
    opened.writer.append(vec![item("2")]).await.unwrap();
    opened.writer.close().await.unwrap();
    let replay = read(&*subject.store()).await;
    assert_eq!(items(&replay), payloads(&[item("0"), item("1"), item("2")]));
    assert_eq!((replay.torn, replay.next_ordinal, replay.epoch), (None, 4, 2));
    true
}

pub(super) async fn damage_is_named(subject: &impl Subject) -> bool {
    let records = [item("0"), item("1"), item("2"), item("3")];
    store_all(&*subject.store(), &records).await;
    if !subject.damage(&session_id(0)) {
        return false;
    }
    let store = subject.store();
    let error = store.read(&first(), OnDamage::Refuse.into()).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    let error = store.open(&first(), OnDamage::Refuse).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");

    let salvaged = store.read(&first(), OnDamage::Salvage.into()).await.unwrap();
    assert_eq!(salvaged.items.len(), 3);
    assert!(is_refused(subject, OnDamage::Salvage, 3).await);
    let error = store.open(&first(), OnDamage::Refuse).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "it was not salvaged: {error}");
    let mut opened = store.open(&first(), OnDamage::Salvage).await.unwrap();
    assert_eq!(opened.replay.damage, salvaged.damage);
    assert_eq!(items(&opened.replay), items(&salvaged));
    opened.writer.append(vec![item("4")]).await.unwrap();
    opened.writer.close().await.unwrap();
    // What goes on is sound, and the session has that log from now on.
    let replay = read(&*subject.store()).await;
    assert_eq!(items(&replay)[..3], items(&salvaged));
    assert_eq!(items(&replay)[3..], payloads(&[item("4")]));
    let page = store.list(&Query::default()).await.unwrap();
    assert_eq!(page.sessions.len(), 1);
    true
}

pub(super) async fn a_failed_append_leaves_nothing(subject: &impl Subject) -> bool {
    let mut writer = subject.store().create(vec![session(0), item("0")]).await.unwrap();
    if !subject.fail_next_append() {
        return false;
    }
    let error = writer.append(vec![item("lost"), item("lost")]).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert_eq!(items(&read(&*subject.store()).await), payloads(&[item("0")]));
    writer.append(vec![item("1")]).await.unwrap();
    writer.close().await.unwrap();
    let replay = read(&*subject.store()).await;
    assert_eq!(items(&replay), payloads(&[item("0"), item("1")]));
    assert_eq!(replay.next_ordinal, 3);
    true
}
