//! Where a log is stored.

use jiff::Timestamp;
use longhaul_rollout::{Error, log_path};
use proptest::prelude::*;

const ID: &str = "01a20298-0571-7a40-BD9C-36a08a0bd337";

#[test]
fn the_path_is_in_utc() {
    let started_at: Timestamp = "2027-01-01T01:02:03.999+02:00".parse().unwrap();
    let path = format!("sessions/2026/12/31/rollout-2026-12-31T23-02-03-{ID}.jsonl");
    assert_eq!(log_path(started_at, ID), Ok(path.into()));
}

#[test]
fn only_a_uuid_is_an_id() {
    let table = [
        "",
        "..",
        "/etc/passwd",
        "01a2029805717a40bd9c36a08a0bd337",
        "01a20298-0571-7a40-bd9c-36a08a0bd33",
        "01a20298-0571-7a40-bd9c-36a08a0bd337-",
        "01a20298-0571-7a40-bd9c36-a08a0bd337",
        "{01a20298-0571-7a40-bd9c-36a08a0bd337}",
        "../20298-0571-7a40-bd9c-36a08a0bd337",
        "01a20298-0571-7a40-bd9c-36a08a0bd3é7",
        "01a20298-0571-7a40-bd9c-36a08a0bd3\n7",
    ];
    for id in table {
        let excerpt = id.replace('\n', "\u{fffd}");
        assert_eq!(log_path(Timestamp::UNIX_EPOCH, id), Err(Error::BadSessionId { excerpt }));
    }
}

proptest! {
    #[test]
    fn no_id_leaves_the_folder(ms in Timestamp::MIN.as_millisecond()..=Timestamp::MAX.as_millisecond(), id in "[0-9a-g./-]{36}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}") {
        let started_at = Timestamp::from_millisecond(ms).unwrap_or_default();
        if let Ok(path) = log_path(started_at, &id) {
            prop_assert!(!id.contains(['.', '/', 'g']));
            prop_assert_eq!(path.components().count(), 5);
            prop_assert!(path.is_relative());
        }
    }
}
