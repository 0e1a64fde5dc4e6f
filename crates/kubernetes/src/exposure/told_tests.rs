//! What triggers are told.

use super::super::wanted::tests::trigger;
use super::*;

fn told(trigger: &mut HTTPTrigger, verdict: Option<&Verdict>, second: i64) -> bool {
    let now = Timestamp::from_second(second).unwrap();
    let next = next_conditions(trigger, verdict, now);
    let is_new = next.is_some();
    if let Some(next) = next {
        trigger.status.get_or_insert_default().conditions = next;
    }
    is_new
}

fn api_error(code: u16, message: &str) -> kube::Error {
    kube::Error::Api(Box::new(kube::core::Status::failure(message, "").with_code(code)))
}

#[test]
fn a_condition_is_written_once_and_the_routers_stay() {
    let mut trigger = trigger("shop", "cart", json!({}));
    let routers = Condition {
        type_: "Ready".to_owned(),
        status: "True".to_owned(),
        reason: "RouteAdmitted".to_owned(),
        message: String::new(),
        observed_generation: None,
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
    };
    trigger.status.get_or_insert_default().conditions.push(routers.clone());
    let good = Verdict::exposed(Kind::Ingress, "fission", "cart");
    assert!(told(&mut trigger, Some(&good), 1));
    assert!(!told(&mut trigger, Some(&good), 2), "it says so already");
    let conditions = trigger.status.clone().unwrap().conditions;
    assert_eq!(conditions[0], routers);
    assert_eq!(conditions[1].message, "Ingress fission/cart leads to the router");
    assert_eq!(conditions[1].observed_generation, Some(3));
    let bad = Verdict::invalid("no");
    assert!(told(&mut trigger, Some(&bad), 3) && told(&mut trigger, Some(&Verdict::invalid("still no")), 4));
    let since = trigger.status.clone().unwrap().conditions[1].last_transition_time.clone();
    assert_eq!(since.0.as_second(), 3, "another reason is no transition");
    assert!(told(&mut trigger, None, 5) && !told(&mut trigger, None, 6));
    assert_eq!(trigger.status.unwrap().conditions, [routers]);
}

#[test]
fn what_is_missing_is_told_with_the_next_step() {
    let of = |kind, code, message: &str| Verdict::of_error(kind, "it cannot be made", &api_error(code, message));
    let missing = of(Kind::HttpRoute, 404, "404 page not found").unwrap();
    assert_eq!(missing.reason, "GatewayApiMissing");
    assert!(missing.message.contains("install the Gateway API") && missing.message.contains("provider to ingress"));
    let forbidden = of(Kind::Ingress, 403, "ingresses is forbidden: User \"u\" cannot list resource").unwrap();
    assert_eq!(forbidden.reason, "NotAllowed");
    assert!(forbidden.message.contains("ingresses.networking.k8s.io"), "{}", forbidden.message);
    let refused = of(Kind::Ingress, 422, "Ingress \"cart\" is invalid: spec.rules[0].host").unwrap();
    assert_eq!(refused.reason, "Refused");
    assert!(refused.message.contains("spec.rules[0].host"));
    assert_eq!(of(Kind::Ingress, 503, "later"), None, "that may be over in a moment");
}
