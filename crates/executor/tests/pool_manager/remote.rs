//! Routers in other processes, and instances that outlive this one.

use fission_executor::Options;
use fission_executor::backend::{Adopted, BackendError, Created};
use fission_executor::configuration::Configuration;
use fission_rpc::demand::{Activity, DemandAnswer, DemandReport, EndpointUse, FunctionActivity, Suspicion};
use fission_rpc::endpoint::{Address, FunctionKey, InstanceId};
use fission_testkit::{ScriptedBackend, eventually, fixtures};

use super::*;

/// A pool manager over instances like pods.
fn world(poolsize: i64) -> World {
    World::over(ScriptedBackend::outliving(), Options::default(), poolsize)
}

fn used(name: &str, in_flight: u32, served: u64) -> EndpointUse {
    EndpointUse { name: name.to_owned(), in_flight, served }
}

fn report(function: &Arc<Function>, waiting: usize, endpoints: &[EndpointUse]) -> DemandReport {
    let function = function.as_ref().clone();
    DemandReport { router: "r".into(), function, waiting, endpoints: endpoints.to_vec() }
}

async fn demand(world: &World, report: DemandReport) -> DemandAnswer {
    world.pool_manager.demand(report).await.expect("it is not ending")
}

fn activity(function: &Arc<Function>, endpoints: &[EndpointUse]) -> Activity {
    let FunctionKey { uid, generation } = FunctionKey::of(function);
    let functions = vec![FunctionActivity { uid, generation, waiting: 0, endpoints: endpoints.to_vec() }];
    Activity { router: "r".into(), functions }
}

fn names(answer: &DemandAnswer) -> Vec<&str> {
    answer.endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect()
}

/// What an earlier process left of a function and its package.
pub(super) fn left(world: &World, function: &Arc<Function>) -> Adopted {
    let environment = world.declared.environments.list().remove(0);
    let package = world.declared.packages.list().remove(0);
    let address = Address::Tcp(([127, 0, 0, 1], 8888).into());
    Adopted {
        id: InstanceId("old".into()),
        function: FunctionKey::of(function),
        environment_uid: environment.metadata.uid.clone().unwrap(),
        is_current: true,
        package: (package.metadata.uid.clone().unwrap_or_default(), package.metadata.generation.unwrap_or_default()),
        configuration: Configuration::default().fingerprint(),
        is_provisioned: false,
        created: Created { address, pid: None, isolation: Vec::new(), missing: Vec::new() },
    }
}

#[tokio::test(start_paused = true)]
async fn a_router_that_has_nothing_is_answered_with_what_was_made_for_it() {
    let world = world(1);
    let function = world.declare(fixtures::function("hello"));
    let answer = demand(&world, report(&function, 1, &[])).await;
    assert_eq!((names(&answer).len(), specializations(&world)), (1, 1));
    assert!(answer.refusal.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_routers_have_in_flight_decides_whether_another_is_made() {
    let world = world(0);
    let function = world.declare(fixtures::function("hello"));
    let first = demand(&world, report(&function, 1, &[])).await;
    let name = first.endpoints[0].name.clone();
    // Room is left where it is: there is nothing to make, and the router hears so after a while.
    let same = demand(&world, report(&function, 1, &[used(&name, 0, 1)])).await;
    assert_eq!((names(&same), specializations(&world)), (vec![name.as_str()], 1));
    let second = demand(&world, report(&function, 1, &[used(&name, 1, 1)])).await;
    assert_eq!((names(&second).len(), specializations(&world)), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_reaches_the_router_whose_requests_it_is() {
    let world = world(1);
    let message = "SyntaxError".to_owned();
    world.backend.on_specialize(move |_, _| Some(BackendError::Refused { status: 500, message: message.clone() }));
    let function = world.declare(fixtures::function("hello"));
    let answer = demand(&world, report(&function, 3, &[])).await;
    let refusal = Refusal::from(answer.refusal.expect("a refusal"));
    assert_eq!((refusal.status, refusal.message.contains("SyntaxError")), (500, true), "{refusal}");
}

#[tokio::test(start_paused = true)]
async fn an_executor_that_ends_refuses_no_request_and_leaves_what_serves() {
    let world = world(0);
    let function = world.declare(fixtures::function("hello"));
    let first = demand(&world, report(&function, 1, &[])).await;
    let waiting = report(&function, 1, &[used(&first.endpoints[0].name, 0, 1)]);
    let pool_manager = world.pool_manager.clone();
    let asked = tokio::spawn(async move { pool_manager.demand(waiting).await });
    tokio::time::sleep(ms(1)).await;
    world.cancel.cancel();
    assert!(asked.await.unwrap().is_none(), "the next executor is to be asked");
    assert!(world.pool_manager.demand(report(&function, 1, &[])).await.is_none());
    world.running.await.unwrap();
    assert_eq!(world.backend.count(|call| matches!(call, Call::Destroy(_))), 0);
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_executor_left_serves_on_and_nothing_is_made_for_it() {
    let world = world(0);
    let function = world.declare(fixtures::function("hello"));
    world.backend.leave(left(&world, &function));
    world.pool_manager.adopt().await;
    let answer = demand(&world, report(&function, 1, &[])).await;
    assert_eq!((names(&answer), creates(&world)), (vec!["old"], 0));
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(world.backend.count(|call| matches!(call, Call::Withdraw(_))), 0, "it is what is declared");
}

#[tokio::test(start_paused = true)]
async fn what_was_left_of_another_generation_is_hidden_and_ended() {
    let world = world(0);
    let function = world.declare(fixtures::function("hello"));
    world.backend.leave(left(&world, &function));
    world.update(fixtures::next_generation(function.as_ref().clone()));
    world.pool_manager.adopt().await;
    eventually("it is ended", || world.backend.living().is_empty()).await;
    assert!(matches!(world.backend.calls().as_slice(), [Call::Withdraw(_), Call::Destroy(_)]));
}

#[tokio::test(start_paused = true)]
async fn what_was_loaded_from_another_package_is_replaced() {
    let world = world(0);
    let function = world.declare(fixtures::function("hello"));
    let older = Adopted { package: ("of before".into(), 1), ..left(&world, &function) };
    world.backend.leave(older);
    world.pool_manager.adopt().await;
    eventually("it is ended", || world.backend.living().is_empty()).await;
    let answer = demand(&world, report(&function, 1, &[])).await;
    assert_ne!(names(&answer), ["old"]);
}

#[tokio::test(start_paused = true)]
async fn an_instance_is_hidden_first_and_ends_when_no_router_has_requests_there() {
    let world = Arc::new(world(0));
    let mut function = fixtures::function("hello");
    function.spec.idle_timeout = Some(5);
    let function = world.declare(function);
    let name = demand(&world, report(&function, 1, &[])).await.endpoints[0].name.clone();
    let (busy, told) = ([used(&name, 1, 0)], world.clone());
    let active = activity(&function, &busy);
    let telling = tokio::spawn(async move {
        for _ in 0..40 {
            told.pool_manager.activity(&active);
            tokio::time::sleep(ms(1000)).await;
        }
    });
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(world.backend.count(|call| matches!(call, Call::Withdraw(_))), 0, "what is in use is not idle");
    world.update(fixtures::next_generation(function.as_ref().clone()));
    eventually("it is hidden", || world.backend.count(|call| matches!(call, Call::Withdraw(_))) == 1).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(world.backend.living().len(), 1, "a request is still in flight");
    telling.await.unwrap();
    world.pool_manager.activity(&activity(&function, &[]));
    eventually("it is ended", || world.backend.living().is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_does_not_work_is_ended_at_once() {
    let world = world(0);
    let function = world.declare(fixtures::function("hello"));
    let name = demand(&world, report(&function, 1, &[])).await.endpoints[0].name.clone();
    world.pool_manager.activity(&activity(&function, &[used(&name, 5, 0)]));
    world.pool_manager.suspicion(&Suspicion { uid: FunctionKey::of(&function).uid, name });
    let began = tokio::time::Instant::now();
    eventually("it is ended", || world.backend.living().is_empty()).await;
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(creates(&world), 1, "what was in flight there needs no other");
}
