//! Conditions of objects: one cell, and the table of all.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::table::aligned;

/// What an unset condition is shown as.
const NONE: &str = "<none>";

/// Status of one condition, `<none>` when nobody has set it.
pub(crate) fn status_of(conditions: Option<&[Condition]>, kind: &str) -> String {
    conditions
        .unwrap_or_default()
        .iter()
        .find(|condition| condition.type_ == kind)
        .map_or_else(|| NONE.to_owned(), |condition| condition.status.clone())
}

/// All conditions as a table; nothing when there are none.
pub(crate) fn table(conditions: &[Condition]) -> String {
    if conditions.is_empty() {
        return String::new();
    }
    let head = ["TYPE", "STATUS", "REASON", "MESSAGE", "LASTTRANSITION"].map(str::to_owned).to_vec();
    let rows = conditions.iter().map(|condition| {
        vec![
            condition.type_.clone(),
            condition.status.clone(),
            condition.reason.clone(),
            condition.message.clone(),
            condition.last_transition_time.0.to_string(),
        ]
    });
    aligned(std::iter::once(head).chain(rows).collect())
}

/// How long ago something was, as `kubectl` shows it: `12s`, `5m`, `3h`, `2d`.
pub(crate) fn age(since: Option<&Time>) -> String {
    let Some(since) = since else { return "<unknown>".to_owned() };
    let seconds = jiff::Timestamp::now().as_second().saturating_sub(since.0.as_second()).max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
