//! The ground escapes are tried on: one platform for all attempts that run at the same time, a neighbour function with a
//! secret, and a function of its own for each attempt. After each, the platform and the neighbour must still answer.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::Write;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::Value;

use crate::world::{PATIENCE, Platform, Start};

/// In the neighbour's code, which it is to be found by.
pub(crate) const CODE_MARK: &str = "the-code-of-the-neighbour";
/// The neighbour's secret.
pub(crate) const SECRET_MARK: &str = "the-secret-of-the-neighbour";

const ATTACK: &str = include_str!("attack.py");

/// Who runs the platform.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// The user who runs the tests: root, where everything is to be proven.
    Tester,
    /// An ordinary user of the machine.
    Nobody,
}

/// A platform with a neighbour.
pub(crate) struct Ground {
    pub(crate) platform: Platform,
    /// What isolates here, and for what is missing the reason.
    pub(crate) isolation: BTreeMap<String, Option<String>>,
}

/// The platforms there are now; each ends with the last attempt that uses it.
static GROUNDS: [Mutex<Weak<Ground>>; 2] = [const { Mutex::new(Weak::new()) }; 2];

impl Ground {
    fn of(who: Who) -> Arc<Self> {
        let mut known = GROUNDS[who as usize].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ground) = known.upgrade() {
            return ground;
        }
        let ground = Arc::new(Self::new(who));
        *known = Arc::downgrade(&ground);
        ground
    }

    fn new(who: Who) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the platform");
        let start = match who {
            Who::Tester => Start::default(),
            Who::Nobody => Start::as_nobody(folder.path(), &["python"]),
        };
        let platform = Platform::start_in(folder, start);
        platform.ok(&["env", "create", "--name", "python-env", "--image", "fission/python-env", "--poolsize", "2"]);
        let secret = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{ name: secret }}\nstringData: {{ key: {SECRET_MARK} }}\n"
        );
        let source = format!(
            "# {CODE_MARK}\nSECRET = open('/secrets/default/secret/key').read()\n\n\ndef main():\n    return 'neighbour'\n"
        );
        platform.kubectl(&["apply", "-f", &platform.source("secret.yaml", &secret)]);
        let code = platform.source("neighbour.py", &source);
        let create = ["function", "create", "--name", "neighbour", "--env", "python-env", "--secret", "secret"];
        platform.ok(&[&create[..], &["--code", &code]].concat());
        platform.route("neighbour");
        platform.source("attack.py", ATTACK);
        let isolation = isolation(&platform);
        Self { platform, isolation }
    }

    /// Whether something isolates here. Else says loudly that what is asked for was not tried.
    pub(crate) fn has_or_skips(&self, feature: &str) -> bool {
        let why = self.isolation.get(feature).unwrap_or_else(|| panic!("{feature} is not reported"));
        if let Some(why) = why {
            skipped(&format!("{feature} is missing here: {why}"));
        }
        why.is_none()
    }

    /// A function that attacks, with more arguments to its creation.
    pub(crate) fn attacker(&self, name: &str, arguments: &[&str]) {
        let code = self.platform.data().join("src/attack.py");
        let create = ["function", "create", "--name", name, "--env", "python-env", "--code"];
        self.platform.ok(&[&create[..], &[code.to_str().expect("utf-8")], arguments].concat());
        self.platform.route(name);
    }

    /// One attempt of an attacker: status and answer.
    pub(crate) async fn try_it(&self, attacker: &str, attempt: &str) -> (u16, String) {
        get(&format!("{}/{attacker}?do={attempt}", self.platform.router)).await
    }

    /// What came of an attempt whose function lives on, made by an attacker of its own.
    pub(crate) async fn outcome(&self, attempt: &str) -> Value {
        let name = attempt.split('&').next().unwrap_or_default().replace('_', "-");
        let name = format!("{name}-{:08x}", rand_suffix());
        self.attacker(&name, &[]);
        let (status, body) = self.try_it(&name, attempt).await;
        assert_eq!(status, 200, "{attempt}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|_| panic!("{attempt}: {body}"))
    }

    /// Every answer of an attempt is one of these errors.
    pub(crate) async fn all_refused(&self, attempt: &str, with: &[&str]) {
        let answers = self.outcome(attempt).await;
        let answers = answers.as_object().unwrap_or_else(|| panic!("{attempt}: {answers}"));
        assert!(!answers.is_empty(), "{attempt}: nothing was tried");
        for (what, answer) in answers {
            let answer = answer.as_str().unwrap_or_else(|| panic!("{what}: {answer}"));
            assert!(with.contains(&answer), "{what} gave {answer:?}, expected {with:?}");
        }
    }

    /// The host's process id of an instance of a function.
    pub(crate) async fn pid_of(&self, function: &str) -> u32 {
        let pods = self.platform.instances_of(function).await;
        let pid = pods.first().and_then(|pod| pod["metadata"]["annotations"]["fission.io/pid"].as_str());
        pid.and_then(|pid| pid.parse().ok()).unwrap_or_else(|| panic!("{function} has an instance: {pods:?}"))
    }

    async fn still_answers(&self) {
        let (status, body) = get(&format!("{}/neighbour", self.platform.router)).await;
        assert_eq!((status, &body[..]), (200, "neighbour"), "the neighbour answers");
        let functions = self.platform.object("/apis/fission.io/v1/namespaces/default/functions").await;
        assert!(functions["items"].as_array().is_some_and(|items| !items.is_empty()), "the platform answers");
    }
}

/// What the platform says of isolation.
fn isolation(platform: &Platform) -> BTreeMap<String, Option<String>> {
    let runtime = tokio::runtime::Handle::current();
    let report = tokio::task::block_in_place(|| runtime.block_on(platform.object("/fission/v1/status")));
    let of = |line: &Value| Some((line["feature"].as_str()?.to_owned(), line["why"].as_str().map(str::to_owned)));
    report["isolation"].as_array().into_iter().flatten().filter_map(of).collect()
}

/// A request, retried while the route is not there yet. Not with the platform's client: a door that an attempt has shut
/// would still be open in a connection of before.
async fn get(url: &str) -> (u16, String) {
    let client = reqwest::Client::new();
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let response = client.get(url).send().await.unwrap_or_else(|error| panic!("{url}: {error:?}"));
        let status = response.status().as_u16();
        let body = response.text().await.unwrap_or_else(|error| panic!("{url}: {error:?}"));
        if status != 404 || std::time::Instant::now() > deadline {
            return (status, body);
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

fn rand_suffix() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) as u32
}

/// Says that something was not tried, past the test runner, which keeps what tests that pass print.
pub(crate) fn skipped(why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}

/// Runs one attempt, and finds out whether everything else is as it was.
pub(crate) async fn attempt(
    who: Who,
    attempt: impl for<'a> FnOnce(&'a Ground) -> Pin<Box<dyn Future<Output = ()> + 'a>>,
) {
    if who == Who::Nobody && !rustix::process::geteuid().is_root() {
        return skipped("only root can start a platform as another user; the same was tried as the user of the tests");
    }
    let ground = Ground::of(who);
    ground.still_answers().await;
    attempt(&ground).await;
    ground.still_answers().await;
}
