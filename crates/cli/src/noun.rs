//! What is the same for every kind of object: fetch, list, create, replace, delete, wait; and errors in plain words.

use std::fmt::Debug;

use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::failure::{Failure, Outcome};
use crate::session::Session;

/// Names shown of what exists when something is not found.
const KNOWN_SHOWN: usize = 8;

/// A kind a command speaks of.
pub(crate) trait Noun:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// What messages call it.
    const WORD: &'static str;
    /// How to make one called `{}`.
    const CREATE: &'static str;
}

macro_rules! nouns {
    ($($kind:ident, $word:literal, $create:literal;)*) => {
        $(impl Noun for fission_api::$kind {
            const WORD: &'static str = $word;
            const CREATE: &'static str = $create;
        })*
    };
}

nouns! {
    Environment, "environment", "fission environment create --name {} --image fission/node-env";
    Package, "package", "fission package create --name {} --env ENV --code FILE";
    Function, "function", "fission function create --name {} --env ENV --code FILE";
    HTTPTrigger, "httptrigger", "fission route create --name {} --function FUNCTION --url /PATH";
    TimeTrigger, "timetrigger", "fission timer create --name {} --function FUNCTION --cron '@every 1m'";
    KubernetesWatchTrigger, "kuberneteswatchtrigger", "fission watch create --name {} --function FUNCTION";
    MessageQueueTrigger, "messagequeuetrigger", "fission mqtrigger create --name {} --function FUNCTION --topic TOPIC";
}

/// The API of a kind in the namespace of the request.
pub(crate) async fn api<K: Noun>(s: &mut Session) -> Outcome<Api<K>> {
    let client = s.client().await?;
    Ok(Api::namespaced(client, &s.namespace))
}

/// One object that must be there.
pub(crate) async fn get<K: Noun>(s: &mut Session, name: &str) -> Outcome<K> {
    match find(s, name).await? {
        Some(object) => Ok(object),
        None => Err(not_found::<K>(s, name).await),
    }
}

/// One object that may be there.
pub(crate) async fn find<K: Noun>(s: &mut Session, name: &str) -> Outcome<Option<K>> {
    let api = api::<K>(s).await?;
    api.get_opt(name).await.map_err(|error| explain(s, &format!("cannot read {} '{name}'", K::WORD), error))
}

/// Says that something is missing, what there is instead, and how to make it.
pub(crate) async fn not_found<K: Noun>(s: &mut Session, name: &str) -> Failure {
    let mut message = format!("{} '{name}' not found in namespace '{}'", K::WORD, s.namespace);
    if let Ok(known) = list::<K>(s, false).await {
        let names: Vec<String> = known.iter().map(ResourceExt::name_any).collect();
        match names.len() {
            0 => message.push_str("; there are none"),
            n if n > KNOWN_SHOWN => {
                message.push_str(&format!(
                    "; known: {}, and {} more",
                    names[..KNOWN_SHOWN].join(", "),
                    n - KNOWN_SHOWN
                ));
            }
            _ => message.push_str(&format!("; known: {}", names.join(", "))),
        }
    }
    Failure::new(message).hint(format_args!("create it with: {}", K::CREATE.replace("{}", name)))
}

/// All objects of the namespace, or of all namespaces, by namespace and name.
pub(crate) async fn list<K: Noun>(s: &mut Session, all_namespaces: bool) -> Outcome<Vec<K>> {
    let client = s.client().await?;
    let api: Api<K> = if all_namespaces { Api::all(client) } else { Api::namespaced(client, &s.namespace) };
    let listed = api.list(&ListParams::default()).await;
    let mut items = listed.map_err(|error| explain(s, &format!("cannot list {}s", K::WORD), error))?.items;
    items.sort_by_key(|object| (object.namespace(), object.name_any()));
    Ok(items)
}

/// Creates an object, after the same checks the server makes.
pub(crate) async fn create<K: Noun>(s: &mut Session, object: &K) -> Outcome<K> {
    check(object)?;
    let api = api::<K>(s).await?;
    api.create(&PostParams::default(), object).await.map_err(|error| {
        let exists = matches!(&error, kube::Error::Api(status) if status.reason == "AlreadyExists");
        let name = object.name_any();
        if exists {
            let article = if K::WORD.starts_with('e') { "an" } else { "a" };
            return Failure::new(format_args!("{article} {} with the same name already exists: '{name}'", K::WORD));
        }
        explain(s, &format!("cannot create {} '{name}'", K::WORD), error)
    })
}

/// Changes an object from what was read to what it should be, and touches nothing else.
///
/// Only the difference is sent, as a merge patch: controllers write to the same objects meanwhile (a status, a stamp),
/// and neither side must lose what the other wrote or fail because of it.
pub(crate) async fn change<K: Noun>(s: &mut Session, before: &K, after: &K) -> Outcome<K> {
    check(after)?;
    let json = |object: &K| serde_json::to_value(object).map_err(Failure::new);
    let difference = merge_difference(&json(before)?, &json(after)?);
    let api = api::<K>(s).await?;
    let name = after.name_any();
    api.patch(&name, &PatchParams::default(), &Patch::Merge(difference))
        .await
        .map_err(|error| explain(s, &format!("cannot update {} '{name}'", K::WORD), error))
}

/// The merge patch (RFC 7396) that turns `before` into `after`; an empty object when they are the same.
fn merge_difference(before: &Value, after: &Value) -> Value {
    let (Value::Object(before), Value::Object(after)) = (before, after) else { return after.clone() };
    let mut patch = serde_json::Map::new();
    for (key, old) in before {
        match after.get(key) {
            None => drop(patch.insert(key.clone(), Value::Null)),
            Some(new) if new != old => drop(patch.insert(key.clone(), merge_difference(old, new))),
            Some(_) => {}
        }
    }
    for (key, new) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
        patch.insert(key.clone(), new.clone());
    }
    Value::Object(patch)
}

/// Deletes an object. Says whether it was there; missing is an error unless `ignore_not_found`.
pub(crate) async fn delete<K: Noun>(s: &mut Session, name: &str, ignore_not_found: bool) -> Outcome<bool> {
    let api = api::<K>(s).await?;
    match api.delete(name, &DeleteParams::default()).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 404 && ignore_not_found => Ok(false),
        Err(kube::Error::Api(status)) if status.code == 404 => Err(not_found::<K>(s, name).await),
        Err(error) => Err(explain(s, &format!("cannot delete {} '{name}'", K::WORD), error)),
    }
}

/// The checks of the API server, made before anything is sent.
pub(crate) fn check<K: Noun>(object: &K) -> Outcome {
    let value = serde_json::to_value(object).map_err(Failure::new)?;
    check_value(&K::kind(&()), &value)
}

/// The same for an object whose type is known by name only.
pub(crate) fn check_value(kind: &str, value: &serde_json::Value) -> Outcome {
    let Some(info) = fission_api::kind(kind) else { return Ok(()) };
    let mut wrong = (info.validate)(value, None);
    // The server stores defaults before it checks; what only a default makes right is not wrong.
    if !wrong.is_empty() {
        let mut defaulted = value.clone();
        (info.default)(&mut defaulted);
        wrong = (info.validate)(&defaulted, None);
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let name = value["metadata"]["name"].as_str().unwrap_or_default();
    let all: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    Err(Failure::new(format_args!("{kind} '{name}' is invalid: {}", all.join("; "))))
}

/// An API error in plain words, with what to do about it.
pub(crate) fn explain(s: &Session, doing: &str, error: kube::Error) -> Failure {
    let server = s.server();
    let status = match error {
        kube::Error::Api(status) => status,
        kube::Error::SerdeError(error) => {
            return Failure::new(format_args!(
                "{doing}: {server} answered something that is not an API object: {error}"
            ))
            .hint("see which server this is with: fission check");
        }
        other => {
            return Failure::new(format_args!("{doing}: cannot reach the API server at {server}: {}", root_of(&other)))
                .hint("see which server is asked, and why, with: fission check");
        }
    };
    let failure = Failure::new(format_args!("{doing}: {}", status.message.trim_end()));
    match status.code {
        401 => failure.hint("the token is missing or wrong: set FISSION_TOKEN or KUBECONFIG (see `fission status`)"),
        403 => failure.hint(match denied(&status.message) {
            Some(right) => format!("ask for a role with {right}; `fission check` shows what you may do"),
            None => "the user of the kubeconfig may not do this; ask for a role that allows it".to_owned(),
        }),
        404 if status.message.starts_with("namespaces ") => {
            let namespace = status.message.split('"').nth(1).unwrap_or("NAMESPACE");
            // The plain command sends protobuf, which the API server of one machine does not read.
            let create = format!("kubectl create namespace {namespace} --dry-run=client -o yaml | kubectl apply -f -");
            failure.hint(format_args!("create it with: {create}"))
        }
        404 if status.reason != "NotFound" || status.message.contains("could not find the requested resource") => {
            failure.hint("this server does not serve fission.io/v1: is it a Fission platform? see `fission check`")
        }
        409 => failure.hint("it was changed by someone else at the same time; run the command again"),
        _ => failure,
    }
}

/// The right that a refusal of Kubernetes names: `User "u" cannot list resource "pods" in API group "" in the namespace
/// "n"`.
pub(crate) fn denied(message: &str) -> Option<String> {
    let (verb, rest) = message.split_once(" cannot ")?.1.split_once(" resource \"")?;
    let (resource, rest) = rest.split_once('"')?;
    let place = match rest.split_once(" in the namespace \"").and_then(|(_, rest)| rest.split_once('"')) {
        Some((namespace, _)) => format!("in namespace {namespace}"),
        None => "in all namespaces".to_owned(),
    };
    Some(format!("the verb '{verb}' on {resource} {place}"))
}

/// The innermost cause: the one that says `Connection refused`.
pub(crate) fn root_of(error: &dyn std::error::Error) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_right_that_is_missing() {
        let message = "pods \"p\" is forbidden: User \"u\" cannot get resource \"pods/log\" in API group \"\" in the \
                       namespace \"team\"";
        assert_eq!(denied(message).as_deref(), Some("the verb 'get' on pods/log in namespace team"));
        let message = "functions.fission.io is forbidden: User \"u\" cannot list resource \"functions\" in API group \
                       \"fission.io\" at the cluster scope";
        assert_eq!(denied(message).as_deref(), Some("the verb 'list' on functions in all namespaces"));
        assert_eq!(denied("no"), None);
    }
}
