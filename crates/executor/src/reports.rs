//! What routers in other processes last said of one function: who waits there, and what is in flight where.
//!
//! A report replaces the router's last one and holds for a while only, so that a router that is gone is forgotten.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fission_rpc::demand::EndpointUse;
use tokio::time::Instant;

/// How long it is believed that requests wait at a router that says nothing more.
const WAITING_HOLDS: Duration = Duration::from_secs(3);
/// How long it is believed that requests are in flight there.
const IN_FLIGHT_HOLDS: Duration = Duration::from_secs(10);

/// The reports of all routers.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    routers: Mutex<HashMap<String, Report>>,
}

#[derive(Debug)]
struct Report {
    at: Instant,
    waiting: usize,
    endpoints: HashMap<String, (u32, u64)>,
}

impl Reports {
    fn routers(&self) -> MutexGuard<'_, HashMap<String, Report>> {
        self.routers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a router's report in. Returns the names of endpoints that were used since its last one.
    pub(crate) fn put(&self, router: &str, waiting: usize, endpoints: &[EndpointUse]) -> Vec<String> {
        let mut routers = self.routers();
        routers.retain(|_, report| report.at.elapsed() < IN_FLIGHT_HOLDS);
        let now = endpoints.iter().map(|used| (used.name.clone(), (used.in_flight, used.served))).collect();
        let report = Report { at: Instant::now(), waiting, endpoints: now };
        let before = routers.insert(router.to_owned(), report);
        let served = |name: &str| Some(before.as_ref()?.endpoints.get(name)?.1);
        let used = endpoints.iter().filter(|used| used.in_flight > 0 || Some(used.served) != served(&used.name));
        used.map(|used| used.name.clone()).collect()
    }

    /// Everyone who waited was answered.
    pub(crate) fn refused(&self) {
        self.routers().values_mut().for_each(|report| report.waiting = 0);
    }

    /// Requests that wait at routers.
    pub(crate) fn waiting(&self) -> usize {
        self.routers().values().filter(|report| report.at.elapsed() < WAITING_HOLDS).map(|report| report.waiting).sum()
    }

    fn sum(&self, count: impl Fn(&Report) -> u32) -> usize {
        let routers = self.routers();
        let counts = routers.values().filter(|report| report.at.elapsed() < IN_FLIGHT_HOLDS).map(count);
        counts.map(|count| usize::try_from(count).unwrap_or(usize::MAX)).sum()
    }

    /// Requests in flight at those endpoints `counts` picks by name.
    pub(crate) fn in_flight(&self, counts: impl Fn(&str) -> bool) -> usize {
        self.sum(|report| {
            let counted = report.endpoints.iter().filter(|(name, _)| counts(name));
            counted.map(|(_, (in_flight, _))| in_flight).sum()
        })
    }

    /// Requests in flight at one endpoint.
    pub(crate) fn in_flight_at(&self, name: &str) -> usize {
        self.in_flight(|one| one == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(name: &str, in_flight: u32, served: u64) -> EndpointUse {
        EndpointUse { name: name.to_owned(), in_flight, served }
    }

    #[tokio::test(start_paused = true)]
    async fn reports_of_routers_add_up_and_a_newer_one_replaces_the_older() {
        let reports = Reports::default();
        reports.put("a", 2, &[used("x", 1, 0)]);
        reports.put("b", 1, &[used("x", 1, 0), used("y", 3, 0)]);
        assert_eq!((reports.waiting(), reports.in_flight(|_| true), reports.in_flight_at("x")), (3, 5, 2));
        reports.put("b", 0, &[]);
        assert_eq!((reports.waiting(), reports.in_flight(|_| true), reports.in_flight_at("x")), (2, 1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_router_that_says_nothing_more_is_forgotten() {
        let reports = Reports::default();
        reports.put("a", 2, &[used("x", 1, 0)]);
        tokio::time::advance(WAITING_HOLDS).await;
        assert_eq!((reports.waiting(), reports.in_flight(|_| true)), (0, 1));
        tokio::time::advance(IN_FLIGHT_HOLDS).await;
        assert_eq!(reports.in_flight(|_| true), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_was_used_between_two_reports_is_seen() {
        let reports = Reports::default();
        assert_eq!(reports.put("a", 0, &[used("x", 0, 5)]), ["x"], "nothing is known of before");
        assert!(reports.put("a", 0, &[used("x", 0, 5)]).is_empty());
        assert_eq!(reports.put("a", 0, &[used("x", 0, 6)]), ["x"]);
        assert_eq!(reports.put("a", 0, &[used("x", 1, 6)]), ["x"]);
    }
}
