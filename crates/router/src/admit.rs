//! Gets a request the right to be sent to an instance: at once if one has room, else by asking the executor.

use std::time::{Duration, Instant};

use fission_rpc::endpoint::Lease;
use fission_rpc::executor::ColdRequest;
use fission_rpc::refusal::Refusal;

use crate::errors;
use crate::functions::Backend;
use crate::router::Router;
use crate::timing::Timing;

/// Time the executor gets beyond the deadline to say itself why there is no instance; it knows better.
const GRACE: Duration = Duration::from_millis(100);

/// A slot of an instance of the function. Dropping the future gives the place in the queue up.
pub(crate) async fn admit(router: &Router, backend: &Backend, timing: &mut Timing) -> Result<Lease, Refusal> {
    if let Some(lease) = backend.endpoints.try_acquire() {
        return Ok(lease);
    }
    let started = Instant::now();
    let deadline = started + backend.admit_timeout;
    let request = ColdRequest { function: backend.function.clone(), endpoints: backend.endpoints.clone(), deadline };
    let asked = router.workers().at_home(router.executor.admit(request));
    let answer = tokio::time::timeout_at((deadline + GRACE).into(), asked).await;
    match answer {
        Ok(Ok(admission)) => {
            timing.wait += admission.wait;
            timing.specialize += admission.specialize;
            Ok(admission.lease)
        }
        Ok(Err(refusal)) => {
            timing.wait += started.elapsed();
            Err(refusal)
        }
        Err(_) => {
            timing.wait += started.elapsed();
            Err(errors::no_instance_in_time(backend))
        }
    }
}
