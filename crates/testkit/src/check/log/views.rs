//! I17 and I18: the session that is opened again, and the one that was forked.

use longhaul_rollout::blob_digest;
use serde_json::Value;

use super::{Found, Note, View};

pub(super) fn check(view: &View<'_>, found: &mut Found) {
    recovered(view, found);
    view.notes().for_each(|note| forked(view, note, found));
}

/// What each opening of the crashed log found is the same, and goes on from where the session last was at rest.
fn recovered(view: &View<'_>, found: &mut Found) {
    let (mut rests, mut first) = (None, None);
    for note in view.notes() {
        match note {
            Note::Rests { items, durable, .. } if first.is_none() => {
                rests = Some((items, *durable));
            }
            Note::Recovered { items, also, .. } => match first {
                Some(first) if first != (items, also) => {
                    found.add("I17", "Opened twice, the session is not the same.");
                }
                Some(_) => {}
                None => {
                    first = Some((items, also));
                    follows(view, rests, items, found);
                }
            },
            _ => {}
        }
    }
}

fn follows(view: &View<'_>, rests: Option<(&Vec<Value>, u64)>, items: &[Value], found: &mut Found) {
    let Some((before, durable)) = rests else { return };
    let is_edit = |kind: &str| matches!(kind, "compacted" | "compaction_undone" | "edited");
    let crashed = view.evidence.crashed.len() as u64;
    let mut later = view.lines.iter().filter(|line| line.end > durable && line.end <= crashed);
    if !items.starts_with(before) && !later.any(|line| is_edit(&line.kind)) {
        found.add("I17", "The session that was opened again is not the one that was.");
    }
}

fn forked(view: &View<'_>, note: &Note, found: &mut Found) {
    let Note::Forked { parent, parent_bytes, parent_digest, session, items } = note else {
        return;
    };
    if *parent == view.evidence.session {
        let bytes = usize::try_from(*parent_bytes).ok().and_then(|it| view.evidence.log.get(..it));
        if bytes.is_none_or(|bytes| blob_digest(bytes) != *parent_digest) {
            found.add("I18", "The log of a session that was forked is not as it was.");
        }
    }
    if *session == view.evidence.session {
        let own: Vec<_> = view.items().take(items.len()).map(|line| &line.payload).collect();
        if !own.iter().copied().eq(items) {
            found.add("I18", "A fork does not have what stood before its cut.");
        }
    }
}
