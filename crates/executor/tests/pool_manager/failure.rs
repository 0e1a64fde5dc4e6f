//! What a user reads when a function cannot be loaded.

use std::sync::atomic::{AtomicUsize, Ordering};

use fission_api::package::{BuildStatus, PackageStatus};
use fission_executor::Options;
use fission_executor::backend::BackendError;
use fission_rpc::cache::ObjectKey;
use fission_rpc::instances::Phase;
use fission_rpc::refusal::Component;
use fission_testkit::{World, eventually, fixtures};

use super::*;

const SYNTAX_ERROR: &str = "SyntaxError: Unexpected token '}' (hello.js:3)";

fn refuse_code(world: &World) {
    world.backend.on_specialize(|_, _| Some(BackendError::Refused { status: 500, message: SYNTAX_ERROR.into() }));
}

#[tokio::test(start_paused = true)]
async fn a_syntax_error_reaches_everyone_who_waits() {
    let world = Arc::new(World::new(Options::default(), 3));
    warm(&world, 3).await;
    world.backend.set_specialize_delay(ms(10));
    refuse_code(&world);
    let mut function = fixtures::function("hello");
    function.spec.requests_per_pod = 10;
    let function = world.declare(function);
    for request in burst(&world, &function, 10, ms(1)) {
        let refusal = request.await.unwrap().unwrap_err();
        assert_eq!(
            (refusal.status, refusal.component, refusal.reason),
            (500, Component::Executor, "specialization_failed")
        );
        assert!(refusal.message.contains(SYNTAX_ERROR), "{}", refusal.message);
        assert_eq!(refusal.hint.as_deref(), Some("fission function logs --name hello"));
    }
    assert_eq!(specializations(&world), 1);
    eventually("the instance is gone and the pool full", || {
        in_phase(&world, Phase::Generic).len() == 3 && world.backend.living().len() == 3
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn code_that_was_just_refused_does_not_use_up_the_pool() {
    let world = World::new(Options::default(), 3);
    refuse_code(&world);
    let function = world.declare(fixtures::function("hello"));
    for _ in 0..100 {
        let refusal = ask(&world, &function).await.unwrap_err();
        assert!(refusal.message.contains(SYNTAX_ERROR));
    }
    assert_eq!(specializations(&world), 1);
    tokio::time::sleep(ms(1100)).await;
    ask(&world, &function).await.unwrap_err();
    assert_eq!(specializations(&world), 2);
}

#[tokio::test(start_paused = true)]
async fn corrected_code_is_loaded_at_once() {
    let world = World::new(Options::default(), 3);
    refuse_code(&world);
    let function = world.declare(fixtures::function("hello"));
    ask(&world, &function).await.unwrap_err();
    world.backend.on_specialize(|_, _| None);
    let corrected = world.update(fixtures::next_generation((*function).clone()));
    ask(&world, &corrected).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_breaks_while_loading_is_replaced_by_another() {
    let world = World::new(Options::default(), 3);
    let tries = AtomicUsize::new(0);
    world.backend.on_specialize(move |id, _| {
        (tries.fetch_add(1, Ordering::SeqCst) < 2)
            .then(|| BackendError::Broken { instance: id.clone(), why: "was killed by signal 9".into() })
    });
    let function = world.declare(fixtures::function("hello"));
    ask(&world, &function).await.unwrap();
    assert_eq!(specializations(&world), 3);
}

#[tokio::test(start_paused = true)]
async fn after_three_broken_instances_the_reason_is_told() {
    let world = World::new(Options::default(), 3);
    world.backend.on_specialize(|id, _| {
        Some(BackendError::Broken { instance: id.clone(), why: "exited with code 137: over its memory limit".into() })
    });
    let function = world.declare(fixtures::function("hello"));
    let refusal = ask(&world, &function).await.unwrap_err();
    assert!(refusal.message.contains("over its memory limit"), "{}", refusal.message);
    assert!(refusal.message.contains("3 instances"), "{}", refusal.message);
    assert_eq!(specializations(&world), 3);
}

#[tokio::test(start_paused = true)]
async fn an_environment_this_host_cannot_run_says_what_to_install() {
    let world = World::new(Options::default(), 3);
    world.backend.set_unsupported(Some("Node.js is not installed; install it with: apt-get install nodejs"));
    let function = world.declare(fixtures::function("hello"));
    let refusal = ask(&world, &function).await.unwrap_err();
    assert_eq!((refusal.status, refusal.reason), (500, "specialization_failed"));
    assert!(refusal.message.contains("apt-get install nodejs"), "{}", refusal.message);
    world.backend.set_unsupported(None);
    tokio::time::sleep(Duration::from_secs(6)).await;
    ask(&world, &function).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_missing_environment_or_package_is_named() {
    let world = World::new(Options::default(), 0);
    let mut function = fixtures::function("lost");
    function.spec.environment.name = "ruby".into();
    let lost = world.declare(function);
    let refusal = ask(&world, &lost).await.unwrap_err();
    assert_eq!(refusal.message, "environment default/ruby of function default/lost does not exist");
    let bare = world.update(fixtures::function("bare"));
    let refusal = ask(&world, &bare).await.unwrap_err();
    assert_eq!(refusal.message, "package default/bare of function default/bare does not exist");
    assert_eq!(creates(&world), 0);
}

#[tokio::test(start_paused = true)]
async fn a_package_that_is_not_built_says_where_its_build_stands() {
    let world = World::new(Options::default(), 0);
    let function = world.declare(fixtures::function("hello"));
    let mut package = fixtures::package("hello");
    package.spec.source = std::mem::take(&mut package.spec.deployment);
    for (build_status, said) in [
        (BuildStatus::Pending, "to be built"),
        (BuildStatus::Running, "to be built"),
        (BuildStatus::Failed, "npm: no such module"),
        (BuildStatus::Unset, "to be built"),
    ] {
        let build_log = "Building\n\nnpm: no such module\n".to_owned();
        package.status = Some(PackageStatus { build_status, build_log, ..PackageStatus::default() });
        world.declared.packages.apply(package.clone());
        let refusal = ask(&world, &function).await.unwrap_err();
        assert!(refusal.message.contains(said), "{build_status:?}: {}", refusal.message);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_the_build_of_its_package() {
    let world = World::new(Options::default(), 0);
    let function = world.declare(fixtures::function("hello"));
    let built = fixtures::package("hello");
    let mut package = built.clone();
    package.spec.source = std::mem::take(&mut package.spec.deployment);
    world.declared.packages.apply(package.clone());
    let build = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        package.spec.deployment = built.spec.deployment;
        world.declared.packages.apply(package);
    };
    let (answer, ()) = tokio::join!(ask(&world, &function), build);
    answer.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_built_before_serves_while_new_source_is_built_and_when_that_fails() {
    let world = World::new(Options::default(), 0);
    let function = world.declare(fixtures::function("hello"));
    let mut package = fixtures::package("hello");
    package.spec.source = package.spec.deployment.clone();
    for build_status in [BuildStatus::Running, BuildStatus::Failed] {
        package.status = Some(PackageStatus { build_status, ..PackageStatus::default() });
        world.declared.packages.apply(package.clone());
        ask(&world, &function).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn code_that_cannot_be_had_is_the_fetchers_refusal_and_leaves_the_pool_alone() {
    let world = World::new(Options::default(), 1);
    warm(&world, 1).await;
    let function = world.declare(fixtures::function("hello"));
    world.code.unusable("checksum mismatch");
    let refusal = ask(&world, &function).await.unwrap_err();
    assert_eq!((refusal.status, refusal.component), (500, Component::Fetcher));
    assert!(refusal.message.contains("checksum mismatch"), "{}", refusal.message);
    assert_eq!(world.code.calls(), 1);
    world.code.unreachable("connection refused");
    ask(&world, &function).await.unwrap_err();
    assert_eq!(world.code.calls(), 4);
    warm(&world, 1).await;
    assert_eq!(creates(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_takes_too_long_names_the_limit() {
    let world = World::new(Options::default(), 1);
    world.backend.set_specialize_delay(Duration::from_secs(10_000));
    let function = world.declare(fixtures::function("hello"));
    let refusal = ask(&world, &function).await.unwrap_err();
    assert_eq!(refusal.limit.unwrap().change, "fission function update --name hello --specializationtimeout 240");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_function_is_not_found() {
    let world = World::new(Options::default(), 1);
    let function = world.declare(fixtures::function("hello"));
    world.declared.functions.delete(&ObjectKey::of(function.as_ref()));
    let refusal = ask(&world, &function).await.unwrap_err();
    assert_eq!((refusal.status, refusal.reason), (404, "function_not_found"));
}
