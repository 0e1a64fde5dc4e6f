//! Endpoints under many callers, one behaviour a test.

use super::*;

fn group(limit: u32, once: bool) -> Arc<FunctionEndpoints> {
    FunctionEndpoints::new(FunctionKey { uid: "u".into(), generation: 1 }, limit, once)
}

fn endpoint(name: &str) -> Arc<Endpoint> {
    Endpoint::new(InstanceId(name.into()), Address::Unix(PathBuf::from(name)))
}

#[test]
fn an_endpoint_never_takes_more_than_its_limit() {
    let group = group(2, false);
    group.add(endpoint("a"));
    let (_one, two) = (group.try_acquire().unwrap(), group.try_acquire().unwrap());
    assert!(group.try_acquire().is_none());
    drop(two);
    assert!(group.try_acquire().is_some());
}

#[test]
fn the_least_busy_endpoint_is_taken_first() {
    let group = group(4, false);
    group.add(endpoint("a"));
    let first = group.try_acquire().unwrap();
    group.add(endpoint("b"));
    let second = group.try_acquire().unwrap();
    assert_ne!(first.endpoint().id, second.endpoint().id);
}

#[test]
fn a_closed_endpoint_admits_no_one_and_is_drained_when_its_last_request_ends() {
    let group = group(1, false);
    let endpoint = endpoint("a");
    group.add(endpoint.clone());
    let lease = group.try_acquire().unwrap();
    assert!(!endpoint.close_if_idle());
    assert!(endpoint.close());
    assert!(group.try_acquire().is_none());
    drop(lease);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(endpoint.drained());
}

#[test]
fn a_once_only_endpoint_serves_exactly_one_request() {
    let group = group(1, true);
    group.add(endpoint("a"));
    drop(group.try_acquire().unwrap());
    assert!(group.try_acquire().is_none());
}

#[test]
fn freed_slots_go_to_the_oldest_waiter_and_not_to_newcomers() {
    let group = group(1, false);
    group.add(endpoint("a"));
    let lease = group.try_acquire().unwrap();
    let (mut first, mut second) = (group.enqueue(), group.enqueue());
    drop(lease);
    assert!(group.try_acquire().is_none());
    let lease = first.try_recv().unwrap().unwrap();
    assert!(second.try_recv().is_err());
    drop(lease);
    assert!(second.try_recv().unwrap().is_ok());
}

#[test]
fn a_waiter_that_went_away_does_not_swallow_a_slot() {
    let group = group(1, false);
    group.add(endpoint("a"));
    let lease = group.try_acquire().unwrap();
    let gone = group.enqueue();
    let mut here = group.enqueue();
    drop(gone);
    drop(lease);
    assert!(here.try_recv().unwrap().is_ok());
    drop(here);
    assert!(group.try_acquire().is_some());
}

#[test]
fn a_waiter_that_goes_away_holding_its_answer_gives_the_slot_back() {
    let group = group(1, false);
    let receiver = group.enqueue();
    group.add(endpoint("a"));
    drop(receiver);
    assert!(group.try_acquire().is_some());
}

#[test]
fn many_threads_never_exceed_the_limit_and_lose_no_slot() {
    let group = group(3, false);
    let endpoints = [endpoint("a"), endpoint("b")];
    for endpoint in &endpoints {
        group.add(endpoint.clone());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..64)
            .map(|_| {
                let group = group.clone();
                tokio::spawn(async move {
                    for _ in 0..200 {
                        let lease = match group.try_acquire() {
                            Some(lease) => lease,
                            None => group.enqueue().await.unwrap().unwrap(),
                        };
                        assert!(lease.endpoint().in_flight() <= 3);
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(group.demand(), Demand { waiting: 0, endpoints: 2, in_flight: 0 });
    assert_eq!(endpoints.iter().map(|endpoint| endpoint.served()).sum::<u64>(), 64 * 200);
}
