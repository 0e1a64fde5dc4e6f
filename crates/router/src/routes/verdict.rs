//! What the router says of a trigger: the reasons of its `RouteAdmitted` and `Ready` conditions.

use std::sync::Arc;

use fission_api::HTTPTrigger;
use fission_rpc::cache::ObjectKey;

use super::route::Fault;

/// Whether a trigger's route is in force, and why.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    /// The trigger as it was judged.
    pub(crate) trigger: Arc<HTTPTrigger>,
    pub(crate) admitted: bool,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Verdict {
    pub(crate) fn admitted(trigger: Arc<HTTPTrigger>, no_methods: bool) -> Self {
        let message = if no_methods {
            "the route is in force, but names no method, so that no request matches it; set methods"
        } else {
            "the route is in force"
        };
        Self { trigger, admitted: true, reason: "RouteAdmitted", message: message.into() }
    }

    pub(crate) fn of_fault(trigger: Arc<HTTPTrigger>, fault: &Fault) -> Self {
        let reason = match fault {
            Fault::Template(_) => "InvalidRouteTemplate",
            Fault::Cors(_) => "InvalidCorsConfig",
            Fault::Unresolvable { .. } | Fault::NoFunction => "FunctionNotFound",
        };
        Self { trigger, admitted: false, reason, message: fault.to_string() }
    }

    pub(crate) fn missing(trigger: Arc<HTTPTrigger>, function: &ObjectKey) -> Self {
        let message = format!("function {function} does not exist; the route is in force as soon as it does");
        Self { trigger, admitted: false, reason: "FunctionNotFound", message }
    }

    pub(crate) fn shadowed(trigger: Arc<HTTPTrigger>, winner: &ObjectKey) -> Self {
        let message = format!("trigger {winner} is older and has the same host, path and some of the methods");
        Self { trigger, admitted: false, reason: "RouteConflict", message }
    }
}
