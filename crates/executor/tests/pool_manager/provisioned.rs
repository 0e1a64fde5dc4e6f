//! Instances that are there before anyone asks, and stay.

use fission_api::function_options::{ProvisionedConcurrency, ProvisionedWindow};
use fission_executor::Options;
use fission_executor::backend::BackendError;
use fission_rpc::endpoint::InstanceId;
use fission_testkit::{RuntimeClock, ScriptedBackend, eventually, fixtures};
use serde_json::Value;

use super::conditions::{Objects, client};
use super::*;

const PATH: &str = "/apis/fission.io/v1/namespaces/default/functions/hello";

/// A function that keeps instances, and whose others are idle enough as soon as they serve no one.
fn keeping(target: i64) -> Function {
    let mut function = fixtures::function("hello");
    function.spec.idle_timeout = Some(0);
    function.spec.provisioned_concurrency = Some(ProvisionedConcurrency { target, windows: Vec::new() });
    function
}

fn serving(world: &World) -> Vec<InstanceId> {
    in_phase(world, Phase::Specialized).into_iter().map(|info| info.id).collect()
}

/// Waits until this many instances serve, and then for more than a reaper's and a provisioner's interval.
async fn settles(world: &World, count: usize) {
    eventually("so many serve", || serving(world).len() == count).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(serving(world).len(), count);
}

/// The metrics as text.
fn counted(world: &World) -> String {
    let (mut registry, mut text) = (prometheus_client::registry::Registry::default(), String::new());
    world.pool_manager.register_metrics(&mut registry);
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    text
}

fn marks(world: &World) -> Vec<(InstanceId, bool)> {
    let calls = world.backend.calls().into_iter();
    calls.filter_map(|call| if let Call::Provisioned(id, kept) = call { Some((id, kept)) } else { None }).collect()
}

/// The status as it is written: the numbers, and the condition.
fn reported(world: &World, function: &Function) -> Objects {
    let objects: Objects = Arc::default();
    objects.lock().unwrap().insert(PATH.to_owned(), serde_json::to_value(function).unwrap());
    tokio::spawn(world.pool_manager.clone().report_conditions(client(&objects)));
    objects
}

fn status(objects: &Objects) -> Value {
    let mut status = objects.lock().unwrap()[PATH]["status"].clone();
    let provisioned = |condition: &&Value| condition["type"] == "Provisioned";
    let condition = status["conditions"].as_array().and_then(|all| all.iter().find(provisioned)).cloned();
    status["condition"] = condition.unwrap_or_default();
    status
}

fn says(objects: &Objects, ready: i64, target: i64, asked: i64, reason: &str) -> bool {
    let status = status(objects);
    let number = |field: &str| status[field].as_i64().unwrap_or_default();
    (number("provisionedReady"), number("provisionedTarget"), number("provisionedSpecTarget")) == (ready, target, asked)
        && status["condition"]["reason"] == reason
}

#[tokio::test(start_paused = true)]
async fn instances_are_loaded_before_anyone_asks_a_few_at_a_time() {
    let world = World::new(Options::default(), 0);
    world.backend.set_specialize_delay(ms(100));
    let function = keeping(6);
    let objects = reported(&world, &function);
    let began = tokio::time::Instant::now();
    let function = world.declare(function);
    eventually("it warms up", || says(&objects, 0, 6, 6, "ProvisionedWarming")).await;
    eventually("four are being loaded", || specializations(&world) == 4).await;
    tokio::time::sleep(ms(50)).await;
    assert_eq!(specializations(&world), 4, "and no fifth while they are");
    settles(&world, 6).await;
    assert!(says(&objects, 6, 6, 6, "ProvisionedSatisfied"), "{}", status(&objects));
    assert!(began.elapsed() > ms(200), "in two turns");
    assert_eq!(specializations(&world), 6);
    let answered = ask(&world, &function).await.unwrap();
    assert_eq!(answered.wait + answered.specialize, Duration::ZERO, "a caller waits for nothing");
}

#[tokio::test(start_paused = true)]
async fn kept_instances_are_not_reaped_and_those_that_callers_added_are() {
    let world = Arc::new(World::new(Options::default(), 0));
    let function = world.declare(keeping(2));
    settles(&world, 2).await;
    let mut kept = serving(&world);
    kept.sort();
    for request in burst(&world, &function, 5, ms(50)) {
        request.await.unwrap().unwrap();
    }
    assert_eq!(specializations(&world), 5);
    settles(&world, 2).await;
    let mut left = serving(&world);
    left.sort();
    assert_eq!(left, kept);
    let mut marked: Vec<_> = marks(&world);
    marked.sort();
    assert_eq!(marked, kept.into_iter().map(|id| (id, true)).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_window_adds_instances_at_its_start_and_gives_up_the_oldest_at_its_end() {
    let clock = Arc::new(RuntimeClock::at("2026-11-27T07:58:00Z"));
    // Longer than the test: what happens, happens at the edges.
    let options = Options { clock, provisioned_interval: PATIENCE, ..Options::default() };
    let world = World::new(options, 0);
    let mut function = keeping(1);
    let window =
        ProvisionedWindow { name: "morning".into(), start: "0 8 * * *".into(), duration: "10m".into(), target: 3 };
    function.spec.provisioned_concurrency.as_mut().unwrap().windows.push(window);
    let objects = reported(&world, &function);
    world.declare(function);
    settles(&world, 1).await;
    let oldest = serving(&world);
    tokio::time::sleep(Duration::from_secs(60)).await;
    eventually("the window opened", || says(&objects, 3, 3, 3, "ProvisionedSatisfied")).await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(serving(&world).len(), 3);
    tokio::time::sleep(Duration::from_secs(300)).await;
    eventually("the window closed", || says(&objects, 1, 1, 1, "ProvisionedSatisfied")).await;
    settles(&world, 1).await;
    assert_ne!(serving(&world), oldest);
    let counted = counted(&world);
    for line in [
        "fission_provisioned_target{function_name=\"hello\",function_namespace=\"default\"} 1",
        "fission_provisioned_ready{function_name=\"hello\",function_namespace=\"default\"} 1",
        "fission_provisioned_window_transitions_total{function_name=\"hello\",function_namespace=\"default\"} 2",
        "eager_specializations_total{function_name=\"hello\",function_namespace=\"default\",outcome=\"success\"} 3",
    ] {
        assert!(counted.contains(line), "{line} is not in\n{counted}");
    }
    assert!(!counted.contains("cold_starts_total{"), "nobody waited for them");
    assert!(marks(&world).contains(&(oldest[0].clone(), false)));
}

#[tokio::test(start_paused = true)]
async fn more_than_a_limit_is_clamped_and_told() {
    let options = Options { provisioned_per_function: 2, ..Options::default() };
    let world = World::new(options, 0);
    let function = keeping(50);
    let objects = reported(&world, &function);
    world.declare(function);
    settles(&world, 2).await;
    assert!(says(&objects, 2, 2, 50, "ProvisionedClamped"), "{}", status(&objects));
    let condition = status(&objects)["condition"].clone();
    assert_eq!(condition["status"], "True");
    let why = "50 asked for, over the limit EXECUTOR_PROVISIONED_MAX_PER_FUNCTION = 2";
    assert_eq!(condition["message"], why);
}

#[tokio::test(start_paused = true)]
async fn where_it_is_disabled_nothing_is_kept_and_the_status_says_so() {
    let world = World::new(Options { provisioned: false, ..Options::default() }, 0);
    let function = keeping(2);
    let objects = reported(&world, &function);
    world.declare(function);
    eventually("it says so", || says(&objects, 0, 0, 2, "ProvisionedDisabled")).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(creates(&world), 0);
}

#[tokio::test(start_paused = true)]
async fn a_changed_function_is_kept_in_its_new_generation_only() {
    let world = World::new(Options::default(), 0);
    let function = world.declare(keeping(2));
    settles(&world, 2).await;
    let function = world.update(fixtures::next_generation(function.as_ref().clone()));
    eventually("the new one serves", || {
        let infos = in_phase(&world, Phase::Specialized);
        infos.len() == 2 && infos.iter().all(|info| info.function.as_ref().is_some_and(|one| one.generation == 2))
    })
    .await;
    world.declared.functions.delete(&fission_rpc::cache::ObjectKey::of(function.as_ref()));
    eventually("all are gone with the function", || world.backend.living().is_empty()).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(world.backend.living().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_function_that_no_longer_asks_gives_its_instances_up_and_says_nothing() {
    let world = World::new(Options::default(), 0);
    let function = keeping(1);
    let objects = reported(&world, &function);
    let function = world.declare(function);
    settles(&world, 1).await;
    let mut plain = fixtures::next_generation(function.as_ref().clone());
    plain.spec.provisioned_concurrency = None;
    {
        let mut objects = objects.lock().unwrap();
        plain.status = serde_json::from_value(objects[PATH]["status"].clone()).unwrap();
        objects.insert(PATH.to_owned(), serde_json::to_value(&plain).unwrap());
    }
    world.update(plain);
    eventually("they are gone", || world.backend.living().is_empty()).await;
    eventually("nothing is said", || status(&objects)["condition"].is_null()).await;
    assert_eq!(status(&objects)["provisionedTarget"].as_i64().unwrap_or_default(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_kept_instance_that_crashed_is_replaced() {
    let world = World::new(Options::default(), 0);
    world.declare(keeping(2));
    settles(&world, 2).await;
    assert!(world.backend.crash(&serving(&world)[0], "exited with code 1"));
    settles(&world, 2).await;
    assert_eq!(specializations(&world), 3);
}

#[tokio::test(start_paused = true)]
async fn code_that_is_refused_is_tried_less_and_less_often_and_the_status_says_why() {
    let world = World::new(Options::default(), 0);
    world.backend.on_specialize(|_, _| {
        Some(BackendError::Refused { status: 500, message: "SyntaxError: missing )".to_owned() })
    });
    let function = keeping(1);
    let objects = reported(&world, &function);
    world.declare(function);
    eventually("it says why", || {
        says(&objects, 0, 1, 1, "ProvisionedWarming")
            && status(&objects)["condition"]["message"].as_str().unwrap().contains("missing )")
    })
    .await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    let tries = specializations(&world);
    assert!((2..10).contains(&tries), "{tries}");
}

#[tokio::test(start_paused = true)]
async fn pods_of_an_earlier_executor_that_were_kept_still_are() {
    let world = World::over(ScriptedBackend::outliving(), Options::default(), 0);
    let function = world.declare(keeping(1));
    let left = super::remote::left(&world, &function);
    world.backend.leave(fission_executor::backend::Adopted { is_provisioned: true, ..left });
    world.pool_manager.adopt().await;
    settles(&world, 1).await;
    assert_eq!((serving(&world), specializations(&world)), (vec![InstanceId("old".into())], 0));
}
