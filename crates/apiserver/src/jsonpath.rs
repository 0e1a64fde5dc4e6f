//! The small part of JSONPath that printer columns use: `.a.b`, `[0]`, `[*]`, `['a.b']` and `[?(@.type=="Ready")]`.

use serde_json::Value;

/// A parsed path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JsonPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    Index(usize),
    All,
    Where(String, String),
}

impl JsonPath {
    /// Parses a path; what cannot be understood matches nothing.
    pub(crate) fn parse(path: &str) -> Self {
        let mut steps = Vec::new();
        let mut rest = path;
        while !rest.is_empty() {
            if let Some(inside) = rest.strip_prefix('[') {
                let Some(end) = closing(inside) else { break };
                steps.push(bracket(&inside[..end]));
                rest = &inside[end + 1..];
            } else {
                let field = rest.strip_prefix('.').unwrap_or(rest);
                let end = field.find(['.', '[']).unwrap_or(field.len());
                if end > 0 {
                    steps.push(Step::Field(field[..end].to_owned()));
                }
                rest = &field[end..];
                if end == 0 && !rest.starts_with('[') && !rest.is_empty() {
                    rest = &rest[1..];
                }
            }
        }
        Self(steps)
    }

    /// The first value it leads to.
    pub(crate) fn find<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        walk(&self.0, value)
    }
}

fn closing(inside: &str) -> Option<usize> {
    let mut quoted = None;
    for (at, c) in inside.char_indices() {
        match (quoted, c) {
            (None, ']') => return Some(at),
            (None, '"' | '\'') => quoted = Some(c),
            (Some(open), c) if c == open => quoted = None,
            _ => {}
        }
    }
    None
}

fn bracket(inside: &str) -> Step {
    let unquoted = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
    if inside == "*" {
        return Step::All;
    }
    if let Ok(index) = inside.parse() {
        return Step::Index(index);
    }
    if let Some(test) = inside.strip_prefix("?(").and_then(|test| test.strip_suffix(')'))
        && let Some((field, wanted)) = test.split_once("==")
    {
        return Step::Where(field.trim().trim_start_matches("@.").to_owned(), unquoted(wanted));
    }
    Step::Field(unquoted(inside))
}

fn walk<'a>(steps: &[Step], value: &'a Value) -> Option<&'a Value> {
    let Some((step, rest)) = steps.split_first() else { return Some(value) };
    match step {
        Step::Field(name) => walk(rest, value.get(name)?),
        Step::Index(at) => walk(rest, value.get(at)?),
        Step::All => value.as_array()?.iter().find_map(|item| walk(rest, item)),
        Step::Where(field, wanted) => {
            let hit = |item: &&Value| item.get(field).and_then(Value::as_str) == Some(wanted);
            value.as_array()?.iter().filter(hit).find_map(|item| walk(rest, item))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_paths_printer_columns_use_are_understood() {
        let object = json!({
            "spec": { "a": 1, "list": [{ "x": "y" }], "dotted.key": true },
            "status": { "conditions": [{ "type": "Other", "status": "False" }, { "type": "Ready", "status": "True" }] },
        });
        let find = |path: &str| JsonPath::parse(path).find(&object).cloned();
        assert_eq!(find(".spec.a"), Some(json!(1)));
        assert_eq!(find(".spec.list[0].x"), Some(json!("y")));
        assert_eq!(find(".spec.list[*].x"), Some(json!("y")));
        assert_eq!(find(".spec['dotted.key']"), Some(json!(true)));
        assert_eq!(find(r#".status.conditions[?(@.type=="Ready")].status"#), Some(json!("True")));
        assert_eq!(find(r#".status.conditions[?(@.type=="Gone")].status"#), None);
        assert_eq!(find(".nothing.here"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_parsed_without_a_panic(path in ".{0,40}") {
            let _ = JsonPath::parse(&path).find(&json!({"a": [{"b": 1}]}));
        }
    }
}
