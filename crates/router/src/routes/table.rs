//! The route table as requests see it: an immutable value, cheap to copy, swapped as a whole.

use std::sync::Arc;

use http::Method;

use super::methods::Methods;
use super::route::{Chosen, Reach, Route};
use super::shards::Shards;
use crate::functions::{Backend, FunctionSlot};

/// Routes that share a place, best first.
type Group = Arc<[Arc<Route>]>;

/// Every route, and every function by `namespace/name`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    /// Literal `relativeurl`s, by host and path.
    exact: Shards<Group>,
    /// Template `relativeurl`s, by host and literal head.
    templates: Shards<Group>,
    /// Prefixes, by host and literal head.
    prefixes: Shards<Group>,
    /// How many routes name each host.
    hosts: Shards<usize>,
    pub(crate) functions: Shards<Arc<FunctionSlot>>,
    /// No key of `templates` or `prefixes` was ever longer, in bytes; bounds the work a long path can cause.
    longest_head: usize,
    len: usize,
}

/// What a lookup found.
#[derive(Debug)]
pub(crate) enum Found {
    /// The best route for this host, path and method, and the function it leads to this time.
    Route(Arc<Route>, Chosen),
    /// Routes match the path, but none the method.
    OtherMethods(Methods),
    /// Nothing matches the path.
    Nothing,
}

impl Table {
    /// Routes in the table, shadowed ones and those without a function included.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether any route names a host.
    pub(crate) fn has_hosts(&self) -> bool {
        !self.hosts.is_empty()
    }

    /// How many functions have a place here, missing ones that a route names included.
    pub(crate) fn functions(&self) -> usize {
        self.functions.len()
    }

    /// The current state of a function, by name.
    pub(crate) fn function(&self, namespace: &str, name: &str) -> Option<Arc<Backend>> {
        self.functions.get(&format!("{namespace}/{name}"))?.load()
    }

    /// The best route. `host` without port and in lower case, `path` decoded.
    ///
    /// Routes for this host come before routes for any; literal paths before templates before prefixes; among
    /// templates and prefixes the one with the longest literal start; then seniority.
    pub(crate) fn find(&self, host: &str, path: &str, method: &Method) -> Found {
        let mut allowed = Methods::default();
        if !self.hosts.is_empty() && !host.is_empty() && self.hosts.get(host).is_some() {
            let key = format!("{host}{path}");
            if let Some(found) = self.find_in_host(&key, host.len(), method, &mut allowed) {
                return found;
            }
        }
        if let Some(found) = self.find_in_host(path, 0, method, &mut allowed) {
            return found;
        }
        if allowed.is_empty() { Found::Nothing } else { Found::OtherMethods(allowed) }
    }

    fn find_in_host(&self, key: &str, path_start: usize, method: &Method, allowed: &mut Methods) -> Option<Found> {
        let found = self.exact.get(key).and_then(|group| first_for(group.iter(), method, allowed));
        if found.is_some() {
            return found;
        }
        let path = &key[path_start..];
        if !self.templates.is_empty() {
            for head in heads(key, path_start, self.longest_head).filter(|head| head.ends_with('/')) {
                let Some(group) = self.templates.get(head) else { continue };
                let matching = group.iter().filter(|route| matches_template(route, path));
                if let Some(found) = first_for(matching, method, allowed) {
                    return Some(found);
                }
            }
        }
        if !self.prefixes.is_empty() {
            for head in heads(key, path_start, self.longest_head) {
                let Some(group) = self.prefixes.get(head) else { continue };
                let matching = group.iter().filter(|route| matches_template(route, path));
                if let Some(found) = first_for(matching, method, allowed) {
                    return Some(found);
                }
            }
        }
        None
    }

    /// Puts a route in, in its order among those at its place.
    pub(crate) fn insert(&mut self, route: &Arc<Route>) {
        let key = route.shape.key();
        self.longest_head = self.longest_head.max(key.len());
        let host = &route.shape.host;
        if !host.is_empty() {
            let count = self.hosts.get(host).copied().unwrap_or(0);
            self.hosts.insert(host.as_str().into(), count + 1);
        }
        let groups = self.groups(route);
        let mut group = groups.get(&key).map(|group| group.to_vec()).unwrap_or_default();
        let position = group.partition_point(|other| rank(other) < rank(route));
        group.insert(position, route.clone());
        groups.insert(key, group.into());
        self.len += 1;
    }

    /// Takes a route out.
    pub(crate) fn remove(&mut self, route: &Arc<Route>) {
        let key = route.shape.key();
        let groups = self.groups(route);
        let Some(group) = groups.get(&key) else { return };
        let left: Vec<_> = group.iter().filter(|other| !Arc::ptr_eq(other, route)).cloned().collect();
        if left.len() == group.len() {
            return;
        }
        if left.is_empty() {
            groups.remove(&key);
        } else {
            groups.insert(key, left.into());
        }
        self.len -= 1;
        let host = &route.shape.host;
        match self.hosts.get(host).copied() {
            Some(count) if count > 1 => self.hosts.insert(host.as_str().into(), count - 1),
            Some(_) => drop(self.hosts.remove(host)),
            None => {}
        }
    }

    /// Routes with the same host, path and reach, best first.
    pub(crate) fn at_same_place(&self, route: &Route) -> Vec<Arc<Route>> {
        let group = self.groups_of(route).get(&route.shape.key());
        let there = group.into_iter().flat_map(|group| group.iter());
        there.filter(|other| other.shape.same_place(&route.shape)).cloned().collect()
    }

    fn groups(&mut self, route: &Route) -> &mut Shards<Group> {
        match (route.shape.reach, &route.shape.template) {
            (Reach::Exact, None) => &mut self.exact,
            (Reach::Exact, Some(_)) => &mut self.templates,
            (Reach::Subtree, _) => &mut self.prefixes,
        }
    }

    fn groups_of(&self, route: &Route) -> &Shards<Group> {
        match (route.shape.reach, &route.shape.template) {
            (Reach::Exact, None) => &self.exact,
            (Reach::Exact, Some(_)) => &self.templates,
            (Reach::Subtree, _) => &self.prefixes,
        }
    }
}

/// Order inside a group. A template's text is longer than its head, so it comes before a literal that is the head;
/// longer subtree templates before shorter ones.
fn rank(route: &Route) -> (bool, std::cmp::Reverse<usize>, &super::route::Seniority) {
    let length = if route.shape.reach == Reach::Subtree { route.shape.path.len() } else { 0 };
    (route.shape.template.is_none(), std::cmp::Reverse(length), &route.seniority)
}

fn matches_template(route: &Route, path: &str) -> bool {
    route.shape.template.as_ref().is_none_or(|template| template.covers(path).is_some())
}

/// The first live route for the method; otherwise notes which methods there would be.
fn first_for<'a>(
    routes: impl Iterator<Item = &'a Arc<Route>>,
    method: &Method,
    allowed: &mut Methods,
) -> Option<Found> {
    for route in routes {
        if !route.shape.methods.contains(method) {
            if route.is_live() {
                *allowed = allowed.union(route.shape.methods);
            }
        } else if let Some(chosen) = route.choose() {
            return Some(Found::Route(route.clone(), chosen));
        }
    }
    None
}

/// Every start of `key` that can be a head of its path, longest first: the whole, and up to each `/`, with and without it.
fn heads(key: &str, path_start: usize, longest: usize) -> impl Iterator<Item = &str> {
    let slashes = key.bytes().enumerate().skip(path_start).rev().filter(|(_, byte)| *byte == b'/');
    let ends = slashes.flat_map(|(slash, _)| [slash + 1, slash]);
    let whole = (!key.ends_with('/')).then_some(key.len());
    let ends = whole.into_iter().chain(ends);
    ends.filter(move |end| *end > path_start && *end <= longest).map(|end| &key[..end])
}
