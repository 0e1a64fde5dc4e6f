//! Keeps the next route table: takes one change at a time and touches only what it changes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use fission_api::{Function, HTTPTrigger};
use fission_rpc::cache::ObjectKey;
use fission_rpc::endpoint::Index;

use super::route::{Fault, Route, Seniority, Shape, Target, weighted_functions};
use super::table::Table;
use super::verdict::Verdict;
use crate::cors::Cors;
use crate::functions::{Backend, FunctionSlot};
use crate::metrics::Metrics;

/// A trigger as planned: its route, or why it has none.
struct Planned {
    trigger: Arc<HTTPTrigger>,
    functions: Vec<ObjectKey>,
    route: Result<Arc<Route>, Fault>,
}

/// The table being worked on, and what is needed to change it.
pub(crate) struct Planner {
    table: Table,
    triggers: HashMap<ObjectKey, Planned>,
    /// Triggers by the function they name, existing or not.
    by_function: HashMap<ObjectKey, BTreeSet<ObjectKey>>,
    index: Arc<Index>,
    metrics: Arc<Metrics>,
    stream_idle: Duration,
    /// Triggers whose verdict may have changed since [`Self::take_verdicts`].
    touched: BTreeSet<ObjectKey>,
    changed: bool,
}

impl Planner {
    pub(crate) fn new(index: Arc<Index>, metrics: Arc<Metrics>, stream_idle: Duration) -> Self {
        Self {
            table: Table::default(),
            triggers: HashMap::new(),
            by_function: HashMap::new(),
            index,
            metrics,
            stream_idle,
            touched: BTreeSet::new(),
            changed: false,
        }
    }

    /// A copy of the table if its shape changed since the last call. New states of functions need no new table.
    pub(crate) fn take_table(&mut self) -> Option<Table> {
        std::mem::take(&mut self.changed).then(|| self.table.clone())
    }

    /// What to say of each trigger that changed, or whose rivals or functions did; nothing if nobody is `asking`.
    pub(crate) fn take_verdicts(&mut self, asking: bool) -> Vec<Verdict> {
        let touched = std::mem::take(&mut self.touched);
        if asking { touched.iter().filter_map(|key| self.verdict(key)).collect() } else { Vec::new() }
    }

    /// What to say of every trigger.
    pub(crate) fn judge_all(&self) -> Vec<Verdict> {
        self.triggers.keys().filter_map(|key| self.verdict(key)).collect()
    }

    /// Makes the table that of exactly these objects, by difference.
    pub(crate) fn replace_all(&mut self, functions: Vec<Arc<Function>>, triggers: Vec<Arc<HTTPTrigger>>) {
        let present: BTreeSet<_> =
            functions.iter().map(|function| function_name(&ObjectKey::of(&**function))).collect();
        let known: Vec<_> = self.table.functions.values().filter_map(|slot| slot.load()).collect();
        for backend in known {
            if !present.contains(&function_name(&backend.key)) {
                self.delete_function(&backend.key);
            }
        }
        functions.into_iter().for_each(|function| self.apply_function(function));
        let present: BTreeSet<_> = triggers.iter().map(|trigger| ObjectKey::of(&**trigger)).collect();
        let gone: Vec<_> = self.triggers.keys().filter(|key| !present.contains(key)).cloned().collect();
        gone.iter().for_each(|key| self.delete_trigger(key));
        triggers.into_iter().for_each(|trigger| self.apply_trigger(trigger));
    }

    pub(crate) fn apply_function(&mut self, function: Arc<Function>) {
        let key = ObjectKey::of(&*function);
        let endpoints = self.index.group(&function);
        let slot = self.slot(&key);
        if !slot.set(Some(Arc::new(Backend::new(function, endpoints, self.stream_idle, &self.metrics)))) {
            self.touch_users(&key);
        }
    }

    pub(crate) fn delete_function(&mut self, key: &ObjectKey) {
        let Some(slot) = self.table.functions.get(&function_name(key)) else { return };
        slot.set(None);
        self.touch_users(key);
        self.drop_unused_slot(key);
    }

    pub(crate) fn apply_trigger(&mut self, trigger: Arc<HTTPTrigger>) {
        let key = ObjectKey::of(&*trigger);
        if let Some(planned) = self.triggers.get_mut(&key) {
            // Also what our own status writes look like.
            let same = planned.trigger.spec == trigger.spec
                && planned.trigger.metadata.uid == trigger.metadata.uid
                && planned.trigger.metadata.creation_timestamp == trigger.metadata.creation_timestamp;
            if same {
                planned.trigger = trigger;
                return;
            }
        }
        let before = self.unplan(&key);
        let planned = self.plan(trigger);
        for function in &planned.functions {
            self.by_function.entry(function.clone()).or_default().insert(key.clone());
        }
        if let Ok(route) = &planned.route {
            self.table.insert(route);
            self.touch_place(route);
        }
        self.touched.insert(key.clone());
        self.triggers.insert(key, planned);
        self.changed = true;
        if let Some(before) = before {
            before.functions.iter().for_each(|function| self.drop_unused_slot(function));
        }
    }

    pub(crate) fn delete_trigger(&mut self, key: &ObjectKey) {
        if let Some(planned) = self.unplan(key) {
            planned.functions.iter().for_each(|function| self.drop_unused_slot(function));
        }
    }

    fn unplan(&mut self, key: &ObjectKey) -> Option<Planned> {
        let planned = self.triggers.remove(key)?;
        if let Ok(route) = &planned.route {
            self.table.remove(route);
            self.touch_place(route);
        }
        for function in &planned.functions {
            if let Some(users) = self.by_function.get_mut(function) {
                users.remove(key);
                if users.is_empty() {
                    self.by_function.remove(function);
                }
            }
        }
        self.changed = true;
        Some(planned)
    }

    fn plan(&mut self, trigger: Arc<HTTPTrigger>) -> Planned {
        let namespace = trigger.metadata.namespace.clone().unwrap_or_default();
        let weights = match weighted_functions(&trigger) {
            Ok(weights) => weights,
            Err(fault) => return Planned { trigger, functions: Vec::new(), route: Err(fault) },
        };
        let key = |name: &String| ObjectKey { namespace: namespace.clone(), name: name.clone() };
        let functions = weights.iter().map(|(name, _)| key(name)).collect();
        let route = self.compile(&trigger, &namespace, &weights);
        Planned { trigger, functions, route: route.map(Arc::new) }
    }

    fn compile(&mut self, trigger: &HTTPTrigger, namespace: &str, weights: &[(String, u64)]) -> Result<Route, Fault> {
        let shape = Shape::of(trigger)?;
        let cors = match &trigger.spec.cors_config {
            Some(config) => Some(Cors::of(config, &trigger.spec.all_methods())?),
            None => None,
        };
        let mut weight_end = 0u64;
        let targets = weights.iter().map(|(name, weight)| {
            let key = ObjectKey { namespace: namespace.to_owned(), name: name.clone() };
            weight_end = weight_end.saturating_add(*weight);
            let stats = self.metrics.calls(&key, &shape.path);
            Target { weight_end, function: self.slot(&key), stats }
        });
        Ok(Route {
            targets: targets.collect(),
            trigger: ObjectKey::of(trigger),
            seniority: Seniority::of(trigger),
            keep_prefix: trigger.spec.keep_prefix,
            queued: trigger.spec.invocation_mode == "async",
            shape,
            cors,
        })
    }

    fn slot(&mut self, key: &ObjectKey) -> Arc<FunctionSlot> {
        let name = function_name(key);
        if let Some(slot) = self.table.functions.get(&name) {
            return slot.clone();
        }
        let slot = Arc::<FunctionSlot>::default();
        self.table.functions.insert(name.into(), slot.clone());
        self.changed = true;
        slot
    }

    fn drop_unused_slot(&mut self, key: &ObjectKey) {
        let name = function_name(key);
        let unused = self.table.functions.get(&name).is_some_and(|slot| !slot.exists());
        if unused && !self.by_function.contains_key(key) {
            self.table.functions.remove(&name);
            self.changed = true;
        }
    }

    /// Rivals gain or lose when one of them, or its function, comes or goes.
    fn touch_place(&mut self, route: &Route) {
        let there = self.table.at_same_place(route);
        self.touched.extend(there.iter().map(|rival| rival.trigger.clone()));
    }

    fn touch_users(&mut self, function: &ObjectKey) {
        let Some(users) = self.by_function.get(function) else { return };
        let routes: Vec<_> =
            users.iter().filter_map(|user| self.triggers.get(user)?.route.as_ref().ok().cloned()).collect();
        self.touched.extend(users.iter().cloned());
        routes.iter().for_each(|route| self.touch_place(route));
    }

    fn verdict(&self, key: &ObjectKey) -> Option<Verdict> {
        let planned = self.triggers.get(key)?;
        let missing = planned
            .functions
            .iter()
            .find(|function| self.table.functions.get(&function_name(function)).is_none_or(|slot| !slot.exists()));
        let decided = match &planned.route {
            Err(fault) => Verdict::of_fault(planned.trigger.clone(), fault),
            Ok(_) if missing.is_some() => Verdict::missing(planned.trigger.clone(), missing?),
            Ok(route) => {
                let rivals = self.table.at_same_place(route);
                let seniors = rivals.iter().take_while(|rival| !Arc::ptr_eq(rival, route));
                let winner = seniors
                    .into_iter()
                    .find(|rival| rival.is_live() && rival.shape.methods.overlaps(route.shape.methods));
                match winner {
                    Some(winner) => Verdict::shadowed(planned.trigger.clone(), &winner.trigger),
                    None => Verdict::admitted(planned.trigger.clone(), route.shape.methods.is_empty()),
                }
            }
        };
        Some(decided)
    }
}

/// How functions are keyed in the table.
pub(crate) fn function_name(key: &ObjectKey) -> String {
    format!("{}/{}", key.namespace, key.name)
}
