//! What the user may do, as the cluster says it.

use futures_util::future::join_all;
use http::Request;
use kube::Client;
use serde_json::{Value, json};

use super::findings::Findings;

/// Verbs of commands that change objects.
const CHANGES: [&str; 4] = ["list", "create", "patch", "delete"];
/// The kinds most commands are about.
const KINDS: [&str; 4] = ["environments", "packages", "functions", "httptriggers"];

/// One thing a user may do or not.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Right {
    group: &'static str,
    resource: &'static str,
    subresource: &'static str,
    name: &'static str,
    verb: &'static str,
    namespace: String,
}

impl Right {
    fn new(group: &'static str, resource: &'static str, verb: &'static str, namespace: &str) -> Self {
        Self { group, resource, subresource: "", name: "", verb, namespace: namespace.to_owned() }
    }

    fn shown(&self) -> String {
        let resource = match self.subresource {
            "" => self.resource.to_owned(),
            sub => format!("{}/{sub}", self.resource),
        };
        format!("'{}' on {resource}", self.verb)
    }

    /// Whether the user has it; `None` when the server does not say.
    async fn allowed(&self, client: &Client) -> Option<bool> {
        let body = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": {
                "group": self.group, "resource": self.resource, "subresource": self.subresource, "name": self.name,
                "verb": self.verb, "namespace": self.namespace,
            } },
        });
        let request = Request::post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body.to_string().into_bytes())
            .ok()?;
        let answer: Value = client.request(request).await.ok()?;
        answer["status"]["allowed"].as_bool()
    }
}

/// What a group of rights is for.
struct Need {
    rights: Vec<Right>,
    /// What the user may do with all of them.
    may: String,
    /// What does not work without them, and what to do.
    without: String,
    /// Whether nothing works without them.
    essential: bool,
}

/// Checks rights in the namespace of the request and in that of the installation.
pub(super) async fn check(client: &Client, namespace: &str, installation: &str, found: &mut Findings) {
    let needs = needs(namespace, installation);
    let rights: Vec<&Right> = needs.iter().flat_map(|need| &need.rights).collect();
    let answers = join_all(rights.iter().map(|right| right.allowed(client))).await;
    if answers.iter().all(Option::is_none) {
        return; // this server knows no such question, as on one machine
    }
    found.section("permissions");
    for need in &needs {
        let denied: Vec<String> = need
            .rights
            .iter()
            .filter(|right| {
                let at = rights.iter().position(|asked| asked == right);
                at.and_then(|at| answers[at]) != Some(true)
            })
            .map(Right::shown)
            .collect();
        if denied.is_empty() {
            found.add(true, format!("you may {}", need.may));
            continue;
        }
        let text = format!(
            "you may not {}: {} is missing in namespace {}",
            need.may,
            denied.join(", "),
            need.rights[0].namespace
        );
        if need.essential { found.bad(text, &need.without) } else { found.limit(text, &need.without) }
    }
}

fn needs(namespace: &str, installation: &str) -> Vec<Need> {
    let ours = |verb: &'static str| KINDS.map(|kind| Right::new(fission_api::GROUP, kind, verb, namespace));
    let pods = |sub: &'static str, verb: &'static str, namespace: &str| Right {
        subresource: sub,
        ..Right::new("", "pods", verb, namespace)
    };
    vec![
        Need {
            rights: ours(CHANGES[0]).to_vec(),
            may: format!("read environments, packages, functions and routes in namespace {namespace}"),
            without: "ask for a role with these verbs, or choose another namespace with --namespace".to_owned(),
            essential: true,
        },
        Need {
            rights: CHANGES[1..].iter().flat_map(|verb| ours(verb)).collect(),
            may: format!("create, change and delete them in namespace {namespace}"),
            without: "commands that only read work".to_owned(),
            essential: false,
        },
        Need {
            rights: vec![pods("", "list", namespace), pods("log", "get", namespace)],
            may: format!("read logs of functions in namespace {namespace}"),
            without: "fission function logs and pods do not work".to_owned(),
            essential: false,
        },
        Need {
            rights: vec![
                pods("", "list", installation),
                pods("portforward", "get", installation),
                pods("portforward", "create", installation),
            ],
            may: format!("reach the platform's services in namespace {installation}"),
            without: "uploads and function test need it, or FISSION_STORAGESVC_URL and FISSION_ROUTER_INTERNAL_URL"
                .to_owned(),
            essential: false,
        },
        Need {
            rights: vec![Right { name: "fission-internal-auth", ..Right::new("", "secrets", "get", installation) }],
            may: format!("read the secret requests are signed with in namespace {installation}"),
            without: "uploads and function test then need FISSION_INTERNAL_AUTH_SECRET=SECRET".to_owned(),
            essential: false,
        },
    ]
}
