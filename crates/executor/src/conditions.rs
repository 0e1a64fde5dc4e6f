//! What people can read in the status of functions and environments. Written off the request path.
//!
//! Only the latest news of each object is kept until it is written, so there is never more than one entry per object.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fission_api::{AllowedFunctions, Environment, Function};
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
/// The condition that says whether a function has the instances that are to be kept for it.
const PROVISIONED: &str = "Provisioned";
/// The condition that says whether functions of an environment share instances.
const SHARED: &str = "SharedInstances";
/// Reason of what is declared and not done.
const NOT_SERVED: &str = "NotServed";
/// Times a write is repeated because someone else wrote at the same moment.
const CONFLICT_ATTEMPTS: usize = 5;
/// Pause before news is written, so that a write, and all who watch, do not compete with the cold start it tells of.
const PAUSE: Duration = Duration::from_millis(30);
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
    /// Type of the condition.
    condition: &'static str,
    /// What it says; with none the condition is taken away.
    holds: Option<bool>,
    reason: &'static str,
    message: String,
    /// Write only over a condition that says the opposite: good news that nobody asked for.
    only_to_clear: bool,
    counts: Option<Counts>,
}

/// Numbers of instances that are kept for a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// That are there.
    pub(crate) ready: usize,
    /// That shall be there.
    pub(crate) target: usize,
    /// That were asked for.
    pub(crate) asked: usize,
}

/// Where one piece of news goes.
type Topic = (Kind, ObjectKey, &'static str);

/// News that is not written yet.
#[derive(Default)]
pub(crate) struct Conditions {
    due: Mutex<HashMap<Topic, News>>,
    wake: Notify,
}

impl Conditions {
    fn due(&self) -> MutexGuard<'_, HashMap<Topic, News>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell<K: Resource>(&self, kind: Kind, object: &K, holds: bool, reason: &'static str, message: &str) {
        let only_to_clear = holds && kind == Kind::Environment;
        self.put(kind, object, News { only_to_clear, ..News::new(READY, Some(holds), reason, message) });
    }

    fn put<K: Resource>(&self, kind: Kind, object: &K, news: News) {
        let meta = object.meta();
        let (uid, generation) = (meta.uid.clone().unwrap_or_default(), meta.generation.unwrap_or_default());
        self.due().insert((kind, ObjectKey::of(object), news.condition), News { uid, generation, ..news });
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

    /// How many instances are kept for a function; without a reason none are asked for any more.
    pub(crate) fn provisioned(&self, function: &Function, counts: Counts, said: Option<(bool, &'static str, &str)>) {
        let (holds, reason, message) = said.map_or((None, "", ""), |(holds, reason, why)| (Some(holds), reason, why));
        let news = News { counts: Some(counts), ..News::new(PROVISIONED, holds, reason, message) };
        self.put(Kind::Function, function, news);
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

    /// Functions of an environment have instances of their own, whatever it wants; where it wants them shared it is told.
    pub(crate) fn environment_unshared(&self, environment: &Environment) {
        let wanted = environment.spec.allowed_functions_per_container == Some(AllowedFunctions::Infinite);
        let mut said = environment.status.iter().flat_map(|status| &status.conditions);
        if wanted || said.any(|condition| condition.type_ == SHARED) {
            let why = "each function has instances of its own, as with allowedFunctionsPerContainer: single";
            self.put(Kind::Environment, environment, News::new(SHARED, wanted.then_some(false), NOT_SERVED, why));
        }
    }

    /// Writes news as it comes.
    pub(crate) async fn write(&self, client: Client) {
        loop {
            let due: Vec<_> = self.due().drain().collect();
            if due.is_empty() {
                self.wake.notified().await;
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let mut failed = false;
            for ((kind, key, condition), news) in due {
                let written = match kind {
                    Kind::Function => write_one::<Function>(&client, &key, &news).await,
                    Kind::Environment => write_one::<Environment>(&client, &key, &news).await,
                };
                if let Err(error) = written {
                    tracing::warn!(object = %key, ?kind, condition, %error, "a condition could not be written; trying again");
                    failed = true;
                    self.due().entry((kind, key, condition)).or_insert(news);
                }
            }
            if failed {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}

impl News {
    fn new(condition: &'static str, holds: Option<bool>, reason: &'static str, message: &str) -> Self {
        let (uid, generation, only_to_clear, counts) = (String::new(), 0, false, None);
        Self { uid, generation, condition, holds, reason, message: message.to_owned(), only_to_clear, counts }
    }
}

/// Kinds whose status has conditions.
trait Conditioned {
    fn parts(&mut self) -> (&mut Option<i64>, &mut Vec<Condition>);

    /// Puts numbers into the status. False if they are there already.
    fn count(&mut self, _counts: Counts) -> bool {
        false
    }
}

impl Conditioned for Function {
    fn parts(&mut self) -> (&mut Option<i64>, &mut Vec<Condition>) {
        let status = self.status.get_or_insert_default();
        (&mut status.observed_generation, &mut status.conditions)
    }

    fn count(&mut self, counts: Counts) -> bool {
        let status = self.status.get_or_insert_default();
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let (ready, target, asked) = (number(counts.ready), number(counts.target), number(counts.asked));
        let said = (status.provisioned_ready, status.provisioned_target, status.provisioned_spec_target);
        (status.provisioned_ready, status.provisioned_target, status.provisioned_spec_target) = (ready, target, asked);
        said != (ready, target, asked)
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

/// Puts news into an object's status. False if it says so already.
fn apply<K: Conditioned>(object: &mut K, news: &News) -> bool {
    let counted = news.counts.is_some_and(|counts| object.count(counts));
    let (observed, conditions) = object.parts();
    let known = conditions.iter().position(|condition| condition.type_ == news.condition);
    let Some(holds) = news.holds else {
        let gone = known.map(|position| conditions.remove(position));
        return counted || gone.is_some();
    };
    let status = if holds { "True" } else { "False" };
    let mut since = Time(jiff::Timestamp::now());
    match known.map(|position| &conditions[position]) {
        Some(known) if known.status == status => {
            let same = known.reason == news.reason && known.observed_generation == Some(news.generation);
            if news.only_to_clear || (same && known.message == news.message) {
                return counted;
            }
            since = known.last_transition_time.clone();
        }
        Some(_) => {}
        None if news.only_to_clear => return counted,
        None => {}
    }
    let condition = Condition {
        type_: news.condition.to_owned(),
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
        News { uid: "u".into(), generation, ..News::new(READY, Some(ready), AVAILABLE, "m") }
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
    fn numbers_are_written_when_they_change_and_a_condition_goes_without_news() {
        let mut function = Function::default();
        let counted = |ready| News {
            counts: Some(Counts { ready, target: 2, asked: 3 }),
            ..News::new(PROVISIONED, Some(false), "ProvisionedWarming", "m")
        };
        assert!(apply(&mut function, &counted(0)));
        assert!(!apply(&mut function, &counted(0)));
        assert!(apply(&mut function, &counted(1)));
        let status = function.status.as_ref().unwrap();
        let numbers = (status.provisioned_ready, status.provisioned_target, status.provisioned_spec_target);
        assert_eq!((numbers, status.conditions.len()), ((1, 2, 3), 1));
        let gone = News { counts: Some(Counts::default()), ..News::new(PROVISIONED, None, "", "") };
        assert!(apply(&mut function, &gone));
        assert!(!apply(&mut function, &gone));
        assert!(function.status.unwrap().conditions.is_empty());
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
