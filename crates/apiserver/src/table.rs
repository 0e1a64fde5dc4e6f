//! Objects as tables, for people: the columns `kubectl get` prints.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::registry::{Cell, Resource};

/// What each row of a table brings along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Include {
    /// Nothing.
    None,
    /// The object's metadata.
    #[default]
    Metadata,
    /// The whole object.
    Object,
}

/// A table of objects. Later events of a watch leave the column definitions out.
pub(crate) fn of(resource: &Resource, objects: &[Value], include: Include, definitions: bool) -> Value {
    let rows: Vec<Value> = objects.iter().map(|object| row(resource, object, include)).collect();
    let mut table = json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {}, "columnDefinitions": [], "rows": rows,
    });
    if definitions {
        let mut columns = vec![json!({
            "name": "Name", "type": "string", "format": "name", "priority": 0,
            "description": "Name must be unique within a namespace.",
        })];
        columns.extend(resource.columns.iter().map(|column| {
            json!({
                "name": column.name, "type": column.kind, "format": column.format,
                "description": column.description, "priority": column.priority,
            })
        }));
        table["columnDefinitions"] = Value::Array(columns);
    }
    if let [only] = objects {
        table["metadata"]["resourceVersion"] = only["metadata"]["resourceVersion"].clone();
    }
    table
}

fn row(resource: &Resource, object: &Value, include: Include) -> Value {
    let mut cells = vec![object["metadata"]["name"].clone()];
    cells.extend(resource.columns.iter().map(|column| match &column.cell {
        Cell::Path(path, is_time) => match path.find(object) {
            Some(Value::String(time)) if *is_time => ago(time),
            Some(text @ (Value::Object(_) | Value::Array(_))) => text.to_string().into(),
            Some(value) => value.clone(),
            None if *is_time => "<unknown>".into(),
            None => Value::Null,
        },
        Cell::Computed(cell) => cell(object),
    }));
    let mut row = json!({ "cells": cells });
    match include {
        Include::None => {}
        Include::Metadata => row["object"] = metadata_only(object),
        Include::Object => row["object"] = object.clone(),
    }
    row
}

/// The metadata of an object, as an object of its own.
pub(crate) fn metadata_only(object: &Value) -> Value {
    json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"] })
}

/// How long ago a time was, as `kubectl` writes it.
pub(crate) fn ago(time: &str) -> Value {
    match time.parse::<Timestamp>() {
        Ok(time) => human(Timestamp::now().as_second() - time.as_second()).into(),
        Err(_) => "<unknown>".into(),
    }
}

/// Seconds in at most two units, exact where it matters: `45s`, `5m10s`, `3h`, `2d4h`, `1y20d`.
fn human(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let pair = |large: i64, unit: char, small: i64, smaller: char| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit}{small}{smaller}"),
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => pair(minutes, 'm', seconds % 60, 's'),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => pair(hours, 'h', minutes % 60, 'm'),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => pair(days, 'd', hours % 24, 'h'),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => pair(days / 365, 'y', days % 365, 'd'),
        _ => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_as_kubectl_writes_them() {
        for (seconds, words) in [
            (-5, "0s"),
            (45, "45s"),
            (119, "119s"),
            (310, "5m10s"),
            (300, "5m"),
            (3600, "60m"),
            (12_000, "3h20m"),
            (36_000, "10h"),
            (187_200, "2d4h"),
            (864_000, "10d"),
            (64_800_000, "2y20d"),
            (400_000_000, "12y"),
        ] {
            assert_eq!(human(seconds), words, "{seconds}");
        }
    }
}
