//! Preparing with programs made up for the test: what is written, raced for, left behind and reported.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A host with a cache and a `tool` that says it is version 2.0 and does what `script` says. The tool is the shell, given
/// the script as a file: a file just written cannot be executed while any other test is starting a process.
struct Host {
    folder: tempfile::TempDir,
    options: Options,
}

fn host(script: &str) -> Host {
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink("/bin/sh", bin.join("tool")).unwrap();
    let options = Options::new(
        folder.path().join("cache"),
        std::env::join_paths([bin.as_path(), Path::new("/usr/bin"), Path::new("/bin")]).unwrap(),
        "/bin/fission",
    );
    let host = Host { folder, options };
    host.write("version", "echo 2.0");
    host.write("script", script);
    host
}

impl Host {
    /// Changes what the tool says or does.
    fn write(&self, file: &str, script: &str) {
        std::fs::write(self.folder.path().join("bin").join(file), script).unwrap();
    }
}

const ENVIRONMENT: &str = r#"
summary = "made up"
images = ["made-up-env"]
files = ["server"]

[[requires]]
tool = "tool"
programs = ["tool"]
minimum = "1.5"
probe = ["-c", '. "${0%/*}/version"']
install = "Install it."

[[prepare]]
step = "Making"
ways = [
  { run = [["{tool}", "{home}/../../bin/script", "first"]], unavailable = ["no first way"] },
  { run = [["{tool}", "{home}/../../bin/script", "second"]] },
]

[start]
argv = ["{tool}", "{home}/server"]
env = { HOME_OF_IT = "{home}" }
listen = "tcp"

[build]
argv = ["sh", "{home}/build"]
env = { TOOL = "{tool}" }
inherit = ["PACKAGE_REGISTRY", "UNSET"]
programs = ["helper", "not-there"]
"#;

fn definition(source: &'static str, server: &'static [u8]) -> Definition {
    let mut definition: Definition = toml::from_str(source).unwrap();
    definition.name = "made-up".to_owned();
    source.clone_into(&mut definition.source);
    definition.contents = vec![("server".to_owned(), server.into())];
    definition
}

/// What was told, in order.
#[derive(Default)]
struct Told {
    steps: Mutex<Vec<String>>,
    done: AtomicUsize,
}

impl Progress for Told {
    fn step(&self, step: Step<'_>) {
        self.steps.lock().unwrap().push(format!("{}/{} {}", step.number, step.of, step.what));
    }

    fn done(&self, _environment: &str, _took: Duration) {
        self.done.fetch_add(1, Ordering::SeqCst);
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_prepared_folder_has_the_files_and_what_the_commands_made() {
    let host = host("echo made by $1 >made");
    let (definition, told) = (definition(ENVIRONMENT, b"the server"), Told::default());
    let runtime = prepare(&definition, &host.options, &told).await.unwrap();
    let home = PathBuf::from(&runtime.env[0].1);
    assert_eq!(std::fs::read(home.join("server")).unwrap(), b"the server");
    assert_eq!(std::fs::read_to_string(home.join("made")).unwrap(), "made by first\n");
    let tool = host.folder.path().join("bin/tool").display().to_string();
    assert_eq!(runtime.argv, [tool.clone(), format!("{}/server", home.display())]);
    assert_eq!(runtime.read_only, [home.clone(), PathBuf::from(tool)]);
    assert_eq!(*told.steps.lock().unwrap(), ["1/2 Writing the server", "2/2 Making"]);
    assert_eq!(names_in(&host.options.cache_dir), [home.file_name().unwrap().to_str().unwrap(), "made-up.lock"]);
}

#[tokio::test]
async fn a_tool_that_cannot_tell_all_is_asked_through_another_program() {
    let host = host("true");
    let probe = r#"probe_with = "sh"
probe = ["-c", 'printf "{\"version\": \"1.6\", \"executable\": \"$0.real\", \"folders\": [\"/opt/of it\"]}"']"#;
    let text = ENVIRONMENT
        .replace(r#"probe = ["-c", '. "${0%/*}/version"']"#, probe)
        .replace("\"{tool}\", \"{home}/../", "\"sh\", \"{home}/../");
    let runtime = prepare(&definition(text.leak(), b"server"), &host.options, &Told::default()).await.unwrap();
    let tool = format!("{}.real", host.folder.path().join("bin/tool").display());
    assert_eq!(runtime.argv[0], tool);
    assert!(runtime.read_only.contains(&PathBuf::from("/opt/of it")), "{:?}", runtime.read_only);
}

#[tokio::test]
async fn of_many_at_once_one_prepares_and_all_get_the_result() {
    let host = host("echo once >>\"${0%/*}/../calls\"; sleep 0.1");
    let (definition, told) = (definition(ENVIRONMENT, b"server"), Told::default());
    let all = futures_util::future::join_all((0..8).map(|_| prepare(&definition, &host.options, &told))).await;
    let first = all[0].as_ref().unwrap();
    assert!(all.iter().all(|runtime| runtime.as_ref().unwrap() == first));
    assert_eq!(std::fs::read_to_string(host.folder.path().join("calls")).unwrap(), "once\n");
    assert_eq!(told.done.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_a_killed_preparation_left_is_removed_and_never_used() {
    let host = host("touch made");
    let half = host.options.cache_dir.join("made-up.preparing");
    std::fs::create_dir_all(half.join("half")).unwrap();
    let definition = definition(ENVIRONMENT, b"server");
    let home = PathBuf::from(&prepare(&definition, &host.options, &Told::default()).await.unwrap().env[0].1);
    assert_eq!(names_in(&home), ["made", "server"]);
    assert!(!half.exists());
}

#[tokio::test]
async fn a_preparation_that_is_dropped_halfway_can_be_done_again() {
    let host = host("[ -e \"${0%/*}/../go\" ] || sleep 60; touch made");
    let definition = definition(ENVIRONMENT, b"server");
    let told = Told::default();
    let dropped = tokio::time::timeout(Duration::from_millis(300), prepare(&definition, &host.options, &told)).await;
    assert!(dropped.is_err());
    std::fs::write(host.folder.path().join("go"), "").unwrap();
    prepare(&definition, &host.options, &told).await.unwrap();
}

#[tokio::test]
async fn another_server_or_another_version_of_the_tool_is_another_folder() {
    let host = host("touch made");
    let home = |runtime: Runtime| runtime.env[0].1.clone();
    let one = home(prepare(&definition(ENVIRONMENT, b"one"), &host.options, &Told::default()).await.unwrap());
    let two = home(prepare(&definition(ENVIRONMENT, b"two"), &host.options, &Told::default()).await.unwrap());
    host.write("version", "echo 2.1");
    let three = home(prepare(&definition(ENVIRONMENT, b"one"), &host.options, &Told::default()).await.unwrap());
    assert!(one != two && one != three && two != three);
}

#[tokio::test]
async fn the_second_way_is_taken_only_when_the_first_is_unavailable() {
    let unavailable = host("[ $1 = first ] && echo there is no first way here >&2 && exit 1; echo $1 >made");
    let definition = definition(ENVIRONMENT, b"server");
    let runtime = prepare(&definition, &unavailable.options, &Told::default()).await.unwrap();
    let made = Path::new(&runtime.env[0].1).join("made");
    assert_eq!(std::fs::read_to_string(made).unwrap(), "second\n");

    let broken = host("[ $1 = first ] && echo it broke >&2 && exit 1; echo $1 >made");
    let error = prepare(&definition, &broken.options, &Told::default()).await.unwrap_err();
    assert!(matches!(&error, PrepareError::CommandFailed { output, .. } if output == "it broke"), "{error}");
}

#[tokio::test]
async fn a_failed_command_is_reported_with_its_last_lines_and_leaves_nothing_prepared() {
    let host = host("seq 1 100; exit 7");
    let error = prepare(&definition(ENVIRONMENT, b"server"), &host.options, &Told::default()).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("`tool ") && text.contains("exit status: 7"), "{text}");
    assert!(text.ends_with("\n99\n100") && text.contains("\n81\n") && !text.contains("\n80\n"), "{text}");
    assert!(!names_in(&host.options.cache_dir).iter().any(|name| name.starts_with("made-up-")));
}

#[tokio::test]
async fn a_command_without_network_is_reported_as_offline() {
    for said in ["npm error code EAI_AGAIN", "Failed to establish a new connection: [Errno -3]"] {
        let host = host(&format!("echo '{said}' >&2; exit 1"));
        let error = prepare(&definition(ENVIRONMENT, b"server"), &host.options, &Told::default()).await.unwrap_err();
        assert!(matches!(error, PrepareError::Offline { .. }), "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[tokio::test]
async fn a_tool_that_is_too_old_or_broken_is_named_with_its_version() {
    let host = host("");
    for (script, named) in [("echo v1.4", "version 1.4"), ("echo boom >&2; exit 1", "does not work: boom")] {
        host.write("version", script);
        let error = prepare(&definition(ENVIRONMENT, b"server"), &host.options, &Told::default()).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(named) && text.contains("tool 1.5 or newer") && text.contains("Install it."), "{text}");
    }
}

#[tokio::test]
async fn a_cache_that_cannot_be_written_is_named() {
    let mut host = host("");
    host.options.cache_dir = "/proc/no/such/place".into();
    let error = prepare(&definition(ENVIRONMENT, b"server"), &host.options, &Told::default()).await.unwrap_err();
    assert!(matches!(&error, PrepareError::Cache { path, .. } if path.starts_with("/proc/no")), "{error}");
}

#[tokio::test]
async fn a_build_finds_its_languages_programs_and_the_variables_named_for_it_and_no_others() {
    let mut host = host("true");
    host.write("helper", "");
    let set = [("PACKAGE_REGISTRY", "mirror"), ("HTTPS_PROXY", "proxy"), ("PASSWORD", "secret")];
    host.options.variables = set.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let definition = definition(ENVIRONMENT, b"server");
    let build = definition.build.as_ref().unwrap();
    let tools = prepare_build(&definition, build, &host.options, &Told::default()).await.unwrap();
    let bin = host.folder.path().join("bin");
    let tool = bin.join("tool").display().to_string();
    let home = host.options.cache_dir.join(names_in(&host.options.cache_dir).remove(0));
    assert_eq!(tools.argv, ["sh".to_owned(), format!("{}/build", home.display())]);
    let expected = [("HTTPS_PROXY", "proxy"), ("PACKAGE_REGISTRY", "mirror"), ("TOOL", &tool)];
    assert_eq!(tools.env, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(tools.path, std::slice::from_ref(&bin));
    for path in [home, bin.join("tool"), bin.join("helper")] {
        assert!(tools.read_only.contains(&path), "{path:?} is shown: {:?}", tools.read_only);
    }
}
