//! Which server is chosen, and that the reason is told.

use super::*;

struct Place {
    dir: tempfile::TempDir,
    vars: Vec<(String, String)>,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let vars = [("FISSION_DATA", "data"), ("HOME", "home")]
            .map(|(name, path)| (name.to_owned(), dir.path().join(path).to_string_lossy().into_owned()));
        std::fs::create_dir_all(dir.path().join("data")).unwrap();
        Self { dir, vars: vars.to_vec() }
    }

    fn set(&mut self, name: &str, value: &str) {
        self.vars.push((name.to_owned(), value.to_owned()));
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    }

    fn kubeconfig(&self, name: &str, server: &str, token: &str) -> String {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: c\n  cluster:\n    server: {server}\n\
             users:\n- name: u\n  user:\n    token: {token}\ncontexts:\n- name: c\n  context:\n    cluster: c\n    \
             user: u\n    namespace: team\n"
        );
        self.file(name, &text)
    }

    /// A platform whose process is this test.
    fn running(&self, api: &str) {
        let data = self.dir.path().join("data");
        let running = Running {
            api: api.to_owned(),
            router: "http://127.0.0.1:2".to_owned(),
            internal: "http://127.0.0.1:3".to_owned(),
            pid: std::process::id(),
            process_start: crate::running::process_start(std::process::id()),
            started: jiff::Timestamp::UNIX_EPOCH,
            version: "0.1.0".to_owned(),
            data_dir: data.clone(),
        };
        running.write(&data).unwrap();
        self.kubeconfig("data/kubeconfig", &api.replace("http:", "https:"), "secret");
    }

    async fn choose(&self, globals: Globals) -> Outcome<Target> {
        let mut io = Io::to(Box::new(std::io::sink()), Box::new(std::io::sink()), self.dir.path().to_owned());
        io.vars = self.vars.iter().cloned().collect();
        Target::choose(&globals, &io).await
    }
}

#[tokio::test]
async fn flags_win_over_variables_over_kubeconfig_over_the_running_platform() {
    let mut place = Place::new();
    place.running("http://127.0.0.1:1");
    let target = place.choose(Globals::default()).await.unwrap();
    assert_eq!(target.api, "http://127.0.0.1:1");
    assert!(target.why.starts_with("the platform running on this machine"), "{}", target.why);
    place.kubeconfig("home/.kube/config", "http://127.0.0.1:10", "t");
    let target = place.choose(Globals::default()).await.unwrap();
    assert!(target.api == "http://127.0.0.1:10" && target.why.starts_with("~/.kube/config"), "{target:?}");
    assert_eq!(target.namespace.as_deref(), Some("team"));
    let file = place.kubeconfig("other", "http://127.0.0.1:11", "t");
    place.set("KUBECONFIG", &file);
    let target = place.choose(Globals::default()).await.unwrap();
    assert!(target.api == "http://127.0.0.1:11" && target.why.starts_with("KUBECONFIG"), "{target:?}");
    place.set("FISSION_URL", "127.0.0.1:12");
    let target = place.choose(Globals::default()).await.unwrap();
    assert_eq!((target.api.as_str(), target.why.as_str()), ("http://127.0.0.1:12", "FISSION_URL"));
    let file = place.kubeconfig("third", "http://127.0.0.1:13", "t");
    let target = place.choose(Globals { kubeconfig: Some(file), ..Globals::default() }).await.unwrap();
    assert!(target.api == "http://127.0.0.1:13" && target.why.starts_with("--kubeconfig"), "{target:?}");
    let server = Globals { server: Some("http://127.0.0.1:14/".to_owned()), ..Globals::default() };
    let target = place.choose(server).await.unwrap();
    assert_eq!((target.api.as_str(), target.why.as_str()), ("http://127.0.0.1:14", "--server"));
}

#[tokio::test]
async fn an_address_of_the_running_platform_gets_its_token() {
    let mut place = Place::new();
    place.running("http://127.0.0.1:31313");
    place.set("FISSION_URL", "http://localhost:31313");
    let target = place.choose(Globals::default()).await.unwrap();
    assert_eq!(target.running.as_ref().map(|running| running.router.as_str()), Some("http://127.0.0.1:2"));
    let token = |target: &Target, place: &Place| target.plain(&place.vars.iter().cloned().collect()).unwrap().1;
    assert_eq!(token(&target, &place).as_deref(), Some("secret"));
    place.set("FISSION_TOKEN", "mine");
    let target = place.choose(Globals::default()).await.unwrap();
    assert_eq!(token(&target, &place).as_deref(), Some("mine"));
    place.set("FISSION_URL", "http://localhost:31314");
    let target = place.choose(Globals::default()).await.unwrap();
    assert!(target.running.is_none(), "another port is another server");
}

#[tokio::test]
async fn nothing_found_says_how_to_go_on() {
    let mut place = Place::new();
    let failure = place.choose(Globals::default()).await.unwrap_err();
    assert_eq!(failure.to_string(), "no Fission API server found: no platform runs on this machine");
    place.running("http://127.0.0.1:1");
    let status = place.dir.path().join("data/status.json");
    let ended = std::fs::read_to_string(&status).unwrap().replace("\"processStart\": ", "\"processStart\": 1");
    std::fs::write(&status, ended).unwrap();
    let failure = place.choose(Globals::default()).await.unwrap_err();
    assert!(failure.to_string().contains("has ended"), "{failure}");
    place.set("KUBECONFIG", "/none/such");
    let failure = place.choose(Globals::default()).await.unwrap_err();
    assert!(failure.to_string().contains("/none/such"), "{failure}");
}

#[test]
fn addresses_without_a_scheme_are_plain_http() {
    assert_eq!(normal_url("127.0.0.1:31313").unwrap(), "http://127.0.0.1:31313");
    assert_eq!(normal_url("https://host/").unwrap(), "https://host");
    assert!(normal_url("ftp://host").is_err() && normal_url("http://").is_err() && normal_url("a b").is_err());
}
