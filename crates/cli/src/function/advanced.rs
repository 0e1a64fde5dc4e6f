//! Flags of a function's rarer abilities: streaming, tools, state, asynchronous calls, warm instances, versions.

use clap::{ArgAction, Args};
use fission_api::FunctionSpec;
use serde_json::{Map, Value, json};

use crate::failure::{Doing, Failure, Outcome};

/// Rarer abilities. Each block is written only when its flags are given.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Streaming, tools, state, asynchronous calls, warm instances, versions")]
pub(crate) struct AdvancedFlags {
    /// Proxy long-lived answers as streams
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) streaming: Option<bool>,
    /// auto, sse, chunked or websocket
    #[arg(long, value_name = "PROTOCOL", default_value = "auto", value_parser = ["auto", "sse", "chunked", "websocket"])]
    pub(crate) streamingprotocol: String,
    /// Seconds of silence after which a stream ends
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) streamingidletimeout: u32,
    /// Seconds after which a stream ends in any case; 0 never
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub(crate) streamingmaxduration: u32,
    /// Offer the function as a tool to language models
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) expose_as_mcp: Option<bool>,
    /// What the tool does
    #[arg(long, value_name = "TEXT")]
    pub(crate) tool_description: Option<String>,
    /// File with the JSON schema of the tool's input
    #[arg(long, value_name = "FILE")]
    pub(crate) tool_input_schema: Option<String>,
    /// Name of the tool; <namespace>-<function> when not given
    #[arg(long, value_name = "NAME")]
    pub(crate) tool_name: Option<String>,
    /// Give the function keyed state
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) state: Option<bool>,
    /// Name of the state; the function's when not given
    #[arg(long, value_name = "NAME")]
    pub(crate) state_keyspace: Option<String>,
    /// Most keys
    #[arg(long, value_name = "COUNT")]
    pub(crate) state_max_keys: Option<u32>,
    /// Largest value
    #[arg(long, value_name = "BYTES")]
    pub(crate) state_max_value_bytes: Option<u32>,
    /// How long values live, such as 24h
    #[arg(long, value_name = "DURATION")]
    pub(crate) state_ttl: Option<String>,
    /// Where the key that keeps requests on one instance is: header or queryparam
    #[arg(long, value_name = "SOURCE")]
    pub(crate) state_sticky_source: Option<String>,
    /// Name of that header or parameter
    #[arg(long, value_name = "NAME")]
    pub(crate) state_sticky_name: Option<String>,
    /// Attempts of an asynchronous call
    #[arg(long, value_name = "COUNT")]
    pub(crate) async_retry_max_attempts: Option<u32>,
    /// Age after which an asynchronous call is given up, such as 1h
    #[arg(long, value_name = "DURATION")]
    pub(crate) async_max_age: Option<String>,
    /// Function called with the result; empty clears it
    #[arg(long, value_name = "FUNCTION", conflicts_with = "async_on_success_topic")]
    pub(crate) async_on_success: Option<String>,
    /// Function called with the failure; empty clears it
    #[arg(long, value_name = "FUNCTION", conflicts_with = "async_on_failure_topic")]
    pub(crate) async_on_failure: Option<String>,
    /// Topic the result goes to; empty clears it
    #[arg(long, value_name = "TOPIC")]
    pub(crate) async_on_success_topic: Option<String>,
    /// Topic the failure goes to; empty clears it
    #[arg(long, value_name = "TOPIC")]
    pub(crate) async_on_failure_topic: Option<String>,
    /// Specialized instances kept warm; 0 or less turns it off
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    pub(crate) provisioned_concurrency: Option<i64>,
    /// When other numbers are kept warm: 'name=..;start=CRON;duration=..;target=..'; may be repeated
    #[arg(long, value_name = "WINDOW")]
    pub(crate) provisioned_schedule: Vec<String>,
    /// Versions of the function: auto, manual or off
    #[arg(long, value_name = "MODE", value_parser = ["auto", "manual", "off"])]
    pub(crate) versioning: Option<String>,
    /// Versions kept that no alias names
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) retain_versions: Option<u32>,
}

impl AdvancedFlags {
    /// Writes the given ones into a spec, beside what is there. The blocks are changed as the JSON users know, so that
    /// fields no flag speaks of stay.
    pub(crate) fn apply(&self, spec: &mut FunctionSpec) -> Outcome {
        let mut value = serde_json::to_value(&*spec).doing("cannot read the function")?;
        let Some(fields) = value.as_object_mut() else { return Ok(()) };
        let before = fields.clone();
        self.streaming(fields);
        self.tool(fields)?;
        self.state(fields);
        self.invocation(fields);
        self.provisioned(fields)?;
        self.versioning(fields)?;
        if *fields != before {
            *spec = serde_json::from_value(value).doing("these flags do not make a function")?;
        }
        Ok(())
    }

    fn streaming(&self, fields: &mut Map<String, Value>) {
        match self.streaming {
            Some(true) => put(
                fields,
                "streaming",
                json!({
                    "protocol": self.streamingprotocol,
                    "idleTimeoutSeconds": self.streamingidletimeout,
                    "maxDurationSeconds": self.streamingmaxduration,
                }),
            ),
            Some(false) => drop(fields.remove("streaming")),
            None => {}
        }
    }

    fn tool(&self, fields: &mut Map<String, Value>) -> Outcome {
        if self.expose_as_mcp == Some(false) {
            fields.remove("tool");
            return Ok(());
        }
        let mut given = Map::new();
        set(&mut given, "description", self.tool_description.as_deref());
        set(&mut given, "toolName", self.tool_name.as_deref());
        if let Some(file) = &self.tool_input_schema {
            let text = std::fs::read_to_string(file).doing(format_args!("cannot read {file}"))?;
            let schema: Value = serde_json::from_str(&text).doing(format_args!("{file} is not JSON"))?;
            put(&mut given, "inputSchema", schema);
        }
        merge(fields, "tool", given, self.expose_as_mcp == Some(true));
        Ok(())
    }

    fn state(&self, fields: &mut Map<String, Value>) {
        if self.state == Some(false) {
            fields.remove("state");
            return;
        }
        let mut given = Map::new();
        set(&mut given, "keyspace", self.state_keyspace.as_deref());
        set(&mut given, "maxKeys", self.state_max_keys);
        set(&mut given, "maxValueBytes", self.state_max_value_bytes);
        set(&mut given, "defaultTTL", self.state_ttl.as_deref());
        let mut sticky = Map::new();
        set(&mut sticky, "source", self.state_sticky_source.as_deref());
        set(&mut sticky, "name", self.state_sticky_name.as_deref());
        if !sticky.is_empty() {
            put(&mut given, "sticky", Value::Object(sticky));
        }
        merge(fields, "state", given, self.state == Some(true));
    }

    fn invocation(&self, fields: &mut Map<String, Value>) {
        let mut given = Map::new();
        if let Some(attempts) = self.async_retry_max_attempts {
            put(&mut given, "retry", json!({ "maxAttempts": attempts }));
        }
        set(&mut given, "maxAge", self.async_max_age.as_deref());
        let ends = [
            ("onSuccess", &self.async_on_success, &self.async_on_success_topic),
            ("onFailure", &self.async_on_failure, &self.async_on_failure_topic),
        ];
        for (field, function, topic) in ends {
            let end = match (function.as_deref(), topic.as_deref()) {
                (Some("") | None, Some("")) | (Some(""), None) => Value::Null,
                (Some(name), _) if !name.is_empty() => {
                    json!({ "function": { "type": "name", "name": name, "functionweights": null } })
                }
                (_, Some(topic)) => json!({ "topic": { "messageQueueType": "statestore", "topic": topic } }),
                _ => continue,
            };
            put(&mut given, field, end);
        }
        merge(fields, "invocation", given, false);
    }

    fn provisioned(&self, fields: &mut Map<String, Value>) -> Outcome {
        const FIELD: &str = "provisionedConcurrency";
        if self.provisioned_concurrency.is_some_and(|target| target <= 0) {
            fields.remove(FIELD);
            return Ok(());
        }
        let mut given = Map::new();
        set(&mut given, "target", self.provisioned_concurrency);
        let windows = self.provisioned_schedule.iter().map(|text| window(text)).collect::<Outcome<Vec<_>>>()?;
        if !windows.is_empty() {
            if given.is_empty() && !fields.contains_key(FIELD) {
                return Err(Failure::new("--provisioned-schedule needs --provisioned-concurrency"));
            }
            put(&mut given, "windows", Value::Array(windows));
        }
        merge(fields, FIELD, given, false);
        Ok(())
    }

    fn versioning(&self, fields: &mut Map<String, Value>) -> Outcome {
        if self.versioning.as_deref() == Some("off") {
            fields.remove("versioning");
            return Ok(());
        }
        let mut given = Map::new();
        set(&mut given, "mode", self.versioning.as_deref());
        set(&mut given, "retain", self.retain_versions);
        if self.retain_versions.is_some() && self.versioning.is_none() && !fields.contains_key("versioning") {
            return Err(Failure::new("--retain-versions needs --versioning auto or manual"));
        }
        merge(fields, "versioning", given, false);
        Ok(())
    }
}

fn put(map: &mut Map<String, Value>, key: &str, value: Value) {
    map.insert(key.to_owned(), value);
}

fn set(map: &mut Map<String, Value>, key: &str, value: Option<impl Into<Value> + Clone>) {
    if let Some(value) = value {
        put(map, key, value.into());
    }
}

/// Puts fields into a block; null takes a field away. An empty block is made only when `wanted`.
fn merge(fields: &mut Map<String, Value>, block: &str, given: Map<String, Value>, wanted: bool) {
    if given.is_empty() && !wanted {
        return;
    }
    let block = fields.entry(block).or_insert_with(|| json!({}));
    if block.is_null() {
        *block = json!({});
    }
    let Some(block) = block.as_object_mut() else { return };
    for (key, value) in given {
        if value.is_null() {
            block.remove(&key);
        } else if let (Some(Value::Object(old)), Value::Object(new)) = (block.get_mut(&key), &value)
            && matches!(key.as_str(), "retry" | "sticky")
        {
            old.extend(new.clone());
        } else {
            block.insert(key, value);
        }
    }
}

/// `name=..;start=..;duration=..;target=..`: all four, no others.
fn window(text: &str) -> Outcome<Value> {
    let wrong = |why: &str| Failure::new(format_args!("--provisioned-schedule {text:?}: {why}"));
    let mut window = Map::new();
    for part in text.split(';').filter(|part| !part.trim().is_empty()) {
        let (key, value) = part.split_once('=').ok_or_else(|| wrong("each part is key=value"))?;
        let value = match key.trim() {
            "name" | "start" | "duration" => Value::String(value.trim().to_owned()),
            "target" => value.trim().parse::<i64>().map_err(|_| wrong("target is not a number"))?.into(),
            other => return Err(wrong(&format!("{other} is not one of name, start, duration, target"))),
        };
        window.insert(key.trim().to_owned(), value);
    }
    match ["name", "start", "duration", "target"].iter().find(|key| !window.contains_key(**key)) {
        Some(missing) => Err(wrong(&format!("{missing} is missing"))),
        None => Ok(Value::Object(window)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(change: impl FnOnce(&mut AdvancedFlags), spec: &mut FunctionSpec) -> Outcome {
        let mut flags = AdvancedFlags { streamingprotocol: "auto".to_owned(), ..AdvancedFlags::default() };
        change(&mut flags);
        flags.apply(spec)
    }

    #[test]
    fn blocks_are_made_changed_and_taken_away() {
        let mut spec = FunctionSpec::default();
        applied(|flags| flags.state = Some(true), &mut spec).unwrap();
        applied(|flags| flags.state_max_keys = Some(5), &mut spec).unwrap();
        applied(|flags| flags.state_keyspace = Some("cart".to_owned()), &mut spec).unwrap();
        let state = spec.state.clone().unwrap();
        assert_eq!((state.max_keys, state.keyspace.as_str()), (5, "cart"));
        applied(|flags| flags.state = Some(false), &mut spec).unwrap();
        assert_eq!(spec, FunctionSpec::default());
    }

    #[test]
    fn a_destination_is_a_function_or_a_topic_and_empty_clears_it() {
        let mut spec = FunctionSpec::default();
        applied(|flags| flags.async_on_success = Some("next".to_owned()), &mut spec).unwrap();
        let success = |spec: &FunctionSpec| spec.invocation.clone().unwrap().on_success;
        assert_eq!(success(&spec).unwrap().function.unwrap().name, "next");
        applied(|flags| flags.async_on_success_topic = Some("done".to_owned()), &mut spec).unwrap();
        assert_eq!(success(&spec).unwrap().topic.unwrap().topic, "done");
        applied(|flags| flags.async_on_success = Some(String::new()), &mut spec).unwrap();
        assert_eq!(success(&spec), None);
    }

    #[test]
    fn a_window_has_exactly_four_parts() {
        assert!(window("name=day;start=0 8 * * *;duration=10h;target=3").is_ok());
        assert!(window("name=day;start=0 8 * * *;duration=10h").unwrap_err().to_string().contains("target is missing"));
        assert!(window("name=day;color=red").is_err());
    }
}
