//! What people can read in the status of functions and environments. Written off the request path.
//!
//! Only the latest news of each object is kept until it is written, so there is never more than one entry per object.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fission_api::{Environment, Function};
use fission_rpc::cache::ObjectKey;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::api::PostParams;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;

/// The condition that says whether an object can be used.
const READY: &str = "Ready";
/// Reason of a function that was loaded once, as in Fission.
const AVAILABLE: &str = "Available";
/// Reason of an environment that this host cannot run.
const UNSUPPORTED: &str = "Unsupported";
/// Reason of an environment whose instances keep ending.
const INSTANCES_FAIL: &str = "InstancesFail";
/// Times a write is repeated because someone else wrote at the same moment.
const CONFLICT_ATTEMPTS: usize = 5;
/// Pause after the API server could not be reached.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Function,
    Environment,
}

/// News of one object.
#[derive(Clone, Debug)]
struct News {
    uid: String,
    generation: i64,
    ready: bool,
    reason: &'static str,
    message: String,
    /// Write only over a condition that says the opposite: good news that nobody asked for.
    only_to_clear: bool,
}

/// News that is not written yet.
#[derive(Default)]
pub(crate) struct Conditions {
    due: Mutex<HashMap<(Kind, ObjectKey), News>>,
    wake: Notify,
}

impl Conditions {
    fn due(&self) -> MutexGuard<'_, HashMap<(Kind, ObjectKey), News>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell<K: Resource>(&self, kind: Kind, object: &K, ready: bool, reason: &'static str, message: &str) {
        let meta = object.meta();
        let news = News {
            uid: meta.uid.clone().unwrap_or_default(),
            generation: meta.generation.unwrap_or_default(),
            ready,
            reason,
            message: message.to_owned(),
            only_to_clear: ready && kind == Kind::Environment,
        };
        self.due().insert((kind, ObjectKey::of(object)), news);
        self.wake.notify_one();
    }

    /// A generation of a function was loaded for the first time. `missing`: what the instance is not isolated by.
    pub(crate) fn function_available(&self, function: &Function, missing: &[String]) {
        let mut message = "the function was loaded into an instance".to_owned();
        if !missing.is_empty() {
            message =
                format!("{message}, isolated less than it could be. Missing on this machine: {}", missing.join("; "));
        }
        self.tell(Kind::Function, function, true, AVAILABLE, &message);
    }

    /// Instances of an environment cannot be made.
    pub(crate) fn environment_failed(&self, environment: &Environment, unsupported: bool, why: &str) {
        let reason = if unsupported { UNSUPPORTED } else { INSTANCES_FAIL };
        self.tell(Kind::Environment, environment, false, reason, why);
    }

    /// An instance of an environment works.
    pub(crate) fn environment_works(&self, environment: &Environment) {
        self.tell(Kind::Environment, environment, true, AVAILABLE, "instances of the environment work");
    }

    /// Writes news as it comes.
    pub(crate) async fn write(&self, client: Client) {
        loop {
            let due: Vec<_> = self.due().drain().collect();
            if due.is_empty() {
                self.wake.notified().await;
                continue;
            }
            let mut failed = false;
            for ((kind, key), news) in due {
                let written = match kind {
                    Kind::Function => write_one::<Function>(&client, &key, &news).await,
                    Kind::Environment => write_one::<Environment>(&client, &key, &news).await,
                };
                if let Err(error) = written {
                    tracing::warn!(object = %key, ?kind, %error, "a condition could not be written; trying again");
                    failed = true;
                    self.due().entry((kind, key)).or_insert(news);
                }
            }
            if failed {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}

/// Kinds whose status has conditions.
trait Conditioned {
    fn parts(&mut self) -> (&mut Option<i64>, &mut Vec<Condition>);
}

impl Conditioned for Function {
    fn parts(&mut self) -> (&mut Option<i64>, &mut Vec<Condition>) {
        let status = self.status.get_or_insert_default();
        (&mut status.observed_generation, &mut status.conditions)
    }
}

impl Conditioned for Environment {
    fn parts(&mut self) -> (&mut Option<i64>, &mut Vec<Condition>) {
        let status = self.status.get_or_insert_default();
        (&mut status.observed_generation, &mut status.conditions)
    }
}

async fn write_one<K>(client: &Client, key: &ObjectKey, news: &News) -> Result<(), kube::Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Conditioned,
    K: Clone + Debug + DeserializeOwned + Serialize,
{
    let api: Api<K> = Api::namespaced(client.clone(), &key.namespace);
    for attempt in 1.. {
        let Some(mut object) = api.get_opt(&key.name).await? else { return Ok(()) };
        let meta = object.meta();
        let other = meta.uid.as_deref() != Some(&news.uid) || meta.generation.is_some_and(|now| now > news.generation);
        if other || !apply(&mut object, news) {
            return Ok(());
        }
        match api.replace_status(&key.name, &PostParams::default(), &object).await {
            Ok(_) => return Ok(()),
            // Deleted meanwhile: there is nobody left to tell.
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 && attempt < CONFLICT_ATTEMPTS => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Puts news into an object's conditions. False if they say so already.
fn apply<K: Conditioned>(object: &mut K, news: &News) -> bool {
    let (observed, conditions) = object.parts();
    let status = if news.ready { "True" } else { "False" };
    let known = conditions.iter().position(|condition| condition.type_ == READY);
    let mut since = Time(jiff::Timestamp::now());
    match known.map(|position| &conditions[position]) {
        Some(known) if known.status == status => {
            let same = known.reason == news.reason && known.observed_generation == Some(news.generation);
            if news.only_to_clear || (same && known.message == news.message) {
                return false;
            }
            since = known.last_transition_time.clone();
        }
        Some(_) => {}
        None if news.only_to_clear => return false,
        None => {}
    }
    let condition = Condition {
        type_: READY.to_owned(),
        status: status.to_owned(),
        reason: news.reason.to_owned(),
        message: news.message.clone(),
        observed_generation: Some(news.generation),
        last_transition_time: since,
    };
    *observed = Some(news.generation);
    match known {
        Some(position) => conditions[position] = condition,
        None => conditions.push(condition),
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(ready: bool, generation: i64) -> News {
        News { uid: "u".into(), generation, ready, reason: AVAILABLE, message: "m".into(), only_to_clear: false }
    }

    #[test]
    fn the_same_news_is_written_once() {
        let mut function = Function::default();
        assert!(apply(&mut function, &news(true, 1)));
        assert!(!apply(&mut function, &news(true, 1)));
        assert!(apply(&mut function, &news(true, 2)));
        assert_eq!(function.status.unwrap().conditions.len(), 1);
    }

    #[test]
    fn conditions_of_others_are_left_alone_and_the_transition_time_moves_only_with_the_status() {
        let mut function = Function::default();
        apply(&mut function, &news(true, 1));
        let conditions = &mut function.status.as_mut().unwrap().conditions;
        let mut other = conditions[0].clone();
        other.type_ = "PackageReady".into();
        conditions.push(other.clone());
        let since = conditions[0].last_transition_time.clone();
        apply(&mut function, &news(true, 2));
        let conditions = &function.status.as_ref().unwrap().conditions;
        assert_eq!((&conditions[0].last_transition_time, &conditions[1]), (&since, &other));
    }

    #[test]
    fn good_news_of_an_environment_only_clears_bad_news() {
        let mut environment = Environment::default();
        let good = News { only_to_clear: true, ..news(true, 1) };
        assert!(!apply(&mut environment, &good));
        assert!(apply(&mut environment, &news(false, 1)));
        assert!(apply(&mut environment, &good));
        assert!(!apply(&mut environment, &good));
    }
}
