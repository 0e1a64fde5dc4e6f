//! Measures the route table from inside; for the benchmarks only.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fission_api::{Function, FunctionReference, FunctionSpec, HTTPTrigger, HTTPTriggerSpec};
use http::Method;

use crate::routes::planner::Planner;
use crate::routes::table::{Found, Table};

/// Lookups timed at each size.
const LOOKUPS: usize = 2_000_000;
/// Lookups made before, so that caches and branch predictors are as they are in use.
const WARM_UP: usize = 200_000;
/// Routes asked for in turn: as many at every size, so that what is compared is the table and not the processor's caches.
const FEW_BUSY: usize = 10;
/// Routes asked for in turn on a platform where many are busy: most lookups then wait for memory.
const MANY_BUSY: usize = 1_000;
/// Changes timed at each size.
const CHANGES: u32 = 100;

/// What one size cost.
#[derive(Clone, Copy, Debug)]
pub struct LookupCost {
    /// Finding one route and its function while ten are busy, in nanoseconds.
    pub few_busy_nanos: f64,
    /// The same while up to a thousand are busy.
    pub many_busy_nanos: f64,
    /// Making the whole table from nothing.
    pub build: Duration,
    /// Taking up one change and making the next table.
    pub one_change: Duration,
}

/// Builds a table of `routes` routes to as many functions, most of them literal, and looks some up.
pub fn lookup(routes: usize) -> LookupCost {
    let functions: Vec<_> = (0..routes).map(function).collect();
    let triggers: Vec<_> = (0..routes).map(|number| trigger(number, "GET")).collect();
    let mut planner = Planner::new(Arc::default(), Arc::default(), Duration::from_secs(60));
    let started = Instant::now();
    planner.replace_all(functions, triggers);
    let table = planner.take_table().unwrap_or_default();
    let build = started.elapsed();
    planner.take_verdicts(true);
    let few_busy_nanos = nanos_per_lookup(&table, routes, FEW_BUSY);
    let many_busy_nanos = nanos_per_lookup(&table, routes, MANY_BUSY);
    let started = Instant::now();
    for change in 0..CHANGES {
        planner.apply_trigger(trigger(routes / 2, if change % 2 == 0 { "POST" } else { "PUT" }));
        black_box(planner.take_table());
    }
    LookupCost { few_busy_nanos, many_busy_nanos, build, one_change: started.elapsed() / CHANGES }
}

fn nanos_per_lookup(table: &Table, routes: usize, busy: usize) -> f64 {
    let stride = (routes / busy).max(1);
    let busy = (0..routes).step_by(stride).take(busy);
    let paths: Vec<String> = busy.map(|number| format!("/app/{number}/hello")).collect();
    let run = |lookups: usize| {
        for path in paths.iter().cycle().take(lookups) {
            let found = table.find("", black_box(path), &Method::GET);
            assert!(matches!(black_box(&found), Found::Route(..)), "{path} is not found");
        }
    };
    run(WARM_UP);
    let started = Instant::now();
    run(LOOKUPS);
    started.elapsed().as_nanos() as f64 / LOOKUPS as f64
}

fn function(number: usize) -> Arc<Function> {
    let mut function = Function::new(&format!("f{number}"), FunctionSpec::default());
    function.metadata.namespace = Some("default".into());
    function.metadata.uid = Some(format!("uid-{number}"));
    Arc::new(function)
}

fn trigger(number: usize, method: &str) -> Arc<HTTPTrigger> {
    let spec = HTTPTriggerSpec {
        relative_url: format!("/app/{number}/hello"),
        methods: vec![method.into()],
        functionref: FunctionReference::named(format!("f{number}")),
        ..HTTPTriggerSpec::default()
    };
    let mut trigger = HTTPTrigger::new(&format!("t{number}"), spec);
    trigger.metadata.namespace = Some("default".into());
    Arc::new(trigger)
}
