//! `fission spec validate`: everything that can be wrong with a spec directory, found before anything is changed.

use std::collections::{BTreeMap, HashSet};

use clap::Args;
use kube::Api;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

use super::archives::reference;
use super::files::{DEFAULT_DIR, Item, Specs};
use super::kinds::{Live, MANAGED, owner};
use crate::failure::{Failure, Outcome};
use crate::noun::{check_value, explain};
use crate::output::Format;
use crate::session::Session;

/// Check a spec directory
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission spec validate
  fission spec validate --specdir deploy/specs")]
pub(crate) struct ValidateArgs {
    /// The directory
    #[arg(long, default_value = DEFAULT_DIR, value_name = "DIR")]
    pub(crate) specdir: String,
    /// File that lists files not to read
    #[arg(long, value_name = "FILE")]
    pub(crate) specignore: Option<String>,
    /// Do not mind objects of other deployments
    #[arg(long)]
    pub(crate) allowconflicts: bool,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) errors: Vec<String>,
    pub(super) warnings: Vec<String>,
}

pub(super) async fn run(args: ValidateArgs, s: &mut Session) -> Outcome {
    let ignore = args.specignore.as_deref().map(|file| s.io.path(file));
    let mut specs = Specs::read(&s.io.path(&args.specdir), ignore.as_deref())?;
    // A directory can be checked without a server; what needs one is then left out, and that is said.
    let server = s.client().await;
    let namespace = s.namespace.clone();
    specs.settle_namespaces(&namespace, false)?;
    s.io.say(format_args!("DeployUID: {}", specs.uid))?;
    s.io.say("Resources:")?;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for item in &specs.items {
        *counts.entry(item.kind.as_str()).or_default() += 1;
    }
    counts.extend((!specs.archives.is_empty()).then_some(("ArchiveUploadSpec", specs.archives.len())));
    for (kind, count) in &counts {
        s.io.say(format_args!(" * {count} {kind}{}", if *count == 1 { "" } else { "s" }))?;
    }
    let mut findings = of_files(&specs);
    match server {
        Ok(_) => {
            let live = Live::read(&specs, s).await?;
            of_server(&specs, &live, args.allowconflicts, s, &mut findings).await?;
        }
        Err(failure) => findings.warnings.push(format!("not compared with a server: {failure}")),
    }
    report(findings, s)?;
    s.io.say("Validation Successful")
}

/// Prints warnings, and fails when there are errors.
pub(super) fn report(findings: Findings, s: &mut Session) -> Outcome {
    for warning in &findings.warnings {
        s.warn(Format::Text, warning)?;
    }
    match findings.errors.len() {
        0 => Ok(()),
        1 => Err(Failure::new(format_args!("the specs are not valid: {}", findings.errors[0]))),
        n => Err(Failure::new(format_args!("the specs are not valid: {n} errors\n  {}", findings.errors.join("\n  ")))),
    }
}

/// What the files alone tell.
pub(super) fn of_files(specs: &Specs) -> Findings {
    let mut findings = Findings { warnings: specs.warnings.clone(), ..Findings::default() };
    archives(specs, &mut findings);
    for item in &specs.items {
        references(specs, item, &mut findings);
        advice(item, &mut findings);
        // An archive:// address is resolved before it is sent; everything else must be right as it stands.
        if let Err(failure) = check_value(&item.kind, &item.value) {
            findings.errors.push(format!("{}: {failure}", item.place));
        }
    }
    findings
}

fn archives(specs: &Specs, findings: &mut Findings) {
    let mut used = HashSet::new();
    for item in specs.of_kind("Package") {
        for field in ["source", "deployment"] {
            let Some(name) = reference(&item.value["spec"][field]) else { continue };
            used.insert(name.to_owned());
            if !specs.archives.iter().any(|(archive, _)| archive.name == name) {
                findings.errors.push(format!("{}: archive archive://{name} is not defined", item.place));
            }
        }
    }
    for (archive, place) in &specs.archives {
        if !used.contains(&archive.name) {
            findings.errors.push(format!("{place}: archive {} is used by no package", archive.name));
        }
        if archive.include.is_empty() {
            findings.errors.push(format!("{place}: archive {} includes nothing", archive.name));
        }
    }
}

fn references(specs: &Specs, item: &Item, findings: &mut Findings) {
    let spec = &item.value["spec"];
    let has = |kind: &str, name: &str| specs.find(kind, &item.namespace, name).is_some();
    match item.kind.as_str() {
        "Package" => {
            let used = |function: &Item| {
                function.namespace == item.namespace
                    && function.value["spec"]["package"]["packageref"]["name"] == item.name.as_str()
            };
            if !specs.of_kind("Function").any(used) {
                findings.warnings.push(format!("{}: package '{}' is used by no function", item.place, item.name));
            }
        }
        "Function" => {
            let package = &spec["package"]["packageref"];
            if let Some(name) = package["name"].as_str().filter(|name| !name.is_empty()) {
                let elsewhere = package["namespace"].as_str().filter(|ns| !ns.is_empty() && *ns != item.namespace);
                if let Some(namespace) = elsewhere {
                    let place = &item.place;
                    findings.errors.push(format!("{place}: package '{name}' is in another namespace ({namespace})"));
                } else if !has("Package", name) {
                    findings.errors.push(format!("{}: package '{name}' is not in the specs", item.place));
                }
            }
            if let Some(name) = spec["environment"]["name"].as_str().filter(|name| !name.is_empty())
                && !has("Environment", name)
            {
                findings.warnings.push(format!("{}: environment '{name}' is not in the specs", item.place));
            }
        }
        "HTTPTrigger" | "TimeTrigger" | "KubernetesWatchTrigger" | "MessageQueueTrigger" => {
            let reference = &spec["functionref"];
            let name = reference["name"].as_str().unwrap_or_default();
            if reference["type"] == "name" && !has("Function", name) {
                findings.errors.push(format!("{}: function '{name}' is not in the specs", item.place));
            }
        }
        "Workflow" => {
            for name in called(spec).into_iter().filter(|name| !has("Function", name)) {
                findings.errors.push(format!("{}: function '{name}' is not in the specs", item.place));
            }
        }
        "FunctionAlias" => {
            let name = spec["functionName"].as_str().unwrap_or_default();
            if !has("Function", name) {
                findings.warnings.push(format!("{}: function '{name}' is not in the specs", item.place));
            }
        }
        _ => {}
    }
}

/// The functions the tasks of a workflow call, branches included.
fn called(spec: &Value) -> Vec<String> {
    let mut names = Vec::new();
    for state in spec["states"].as_object().into_iter().flat_map(|states| states.values()) {
        let function = &state["function"];
        if let Some(name) = function["name"].as_str().filter(|_| function["type"].as_str().unwrap_or("name") == "name")
        {
            names.push(name.to_owned());
        }
        for branch in state["branches"].as_array().into_iter().flatten() {
            names.extend(called(branch));
        }
    }
    names
}

fn advice(item: &Item, findings: &mut Findings) {
    let spec = &item.value["spec"];
    let mut warn = |text: &str| findings.warnings.push(format!("{}: {} '{}' {text}", item.place, item.kind, item.name));
    let is_set = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    match item.kind.as_str() {
        "HTTPTrigger" => {
            if is_set(&spec["host"]) {
                warn("uses the deprecated field host; use routeConfig");
            }
            if is_set(&spec["method"]) {
                warn("uses the deprecated field method; use methods");
            }
        }
        "Environment" => {
            let runtime = &spec["runtime"];
            // `env create` writes a pod of one bare container beside it, as Fission's tools do; that merges to nothing.
            let bare = json!({ "containers": [{ "name": runtime["container"]["name"] }] });
            if runtime["container"].is_object() && runtime["podspec"].is_object() && runtime["podspec"] != bare {
                warn("has both runtime.container and runtime.podspec; they are merged");
            }
            let poolsize = spec["poolsize"].as_i64().unwrap_or(3);
            if poolsize != 3 && spec["version"].as_i64().is_some_and(|version| version < 3) {
                warn("sets poolsize, which only version 3 honours");
            }
            let containers = runtime["podspec"]["containers"].as_array();
            let named = runtime["container"]["name"].as_str();
            if let (Some(containers), Some(name)) = (containers, named)
                && !containers.iter().any(|container| container["name"] == name)
            {
                let text = format!("{}: runtime container '{name}' is not in runtime.podspec", item.place);
                findings.errors.push(text);
            }
        }
        "Function" => {
            if spec["functionTimeout"].as_i64().is_some_and(|seconds| seconds <= 0) {
                warn("has a functionTimeout that is not above 0; the default is used");
            }
            let strategy = &spec["InvokeStrategy"]["ExecutionStrategy"];
            let short = strategy["SpecializationTimeout"].as_i64().is_some_and(|seconds| seconds < 120);
            if strategy["ExecutorType"] == "newdeploy" && short {
                warn("has a SpecializationTimeout below 120; 120 is used");
            }
        }
        _ => {}
    }
}

/// What only the server can tell: objects of other deployments, secrets and config maps that are not there.
pub(super) async fn of_server(
    specs: &Specs,
    live: &Live,
    allow: bool,
    s: &mut Session,
    findings: &mut Findings,
) -> Outcome {
    for kind in MANAGED.iter().filter(|_| !allow) {
        let live = live.of(kind.kind);
        for item in specs.of_kind(kind.kind) {
            let same = |object: &&DynamicObject| {
                object.metadata.name.as_deref() == Some(&item.name)
                    && object.metadata.namespace.as_deref() == Some(&item.namespace)
            };
            if live.iter().find(same).is_some_and(|object| owner(object) != Some(&specs.uid)) {
                findings.errors.push(conflict(item));
            }
        }
    }
    let mut asked = HashSet::new();
    for item in specs.of_kind("Function") {
        for (field, kind) in [("secrets", "Secret"), ("configmaps", "ConfigMap")] {
            for reference in item.value["spec"][field].as_array().into_iter().flatten() {
                let name = reference["name"].as_str().unwrap_or_default();
                let namespace = reference["namespace"].as_str().unwrap_or(&item.namespace).to_owned();
                if asked.insert((kind, namespace.clone(), name.to_owned()))
                    && !exists_in(s, kind, &namespace, name).await?
                {
                    findings.warnings.push(format!("{}: {kind} '{namespace}/{name}' does not exist yet", item.place));
                }
            }
        }
    }
    Ok(())
}

/// The words for an object that another deployment, or nobody's, already is.
pub(super) fn conflict(item: &Item) -> String {
    let Item { kind, name, namespace, place, .. } = item;
    format!("{place}: {kind}: '{name}/{namespace}' with different deploy uid already exists (see --allowconflicts)")
}

/// Whether a secret or config map exists in the namespace of the request.
pub(crate) async fn object_exists(s: &mut Session, kind: &str, name: &str) -> Outcome<bool> {
    s.client().await?;
    let namespace = s.namespace.clone();
    exists_in(s, kind, &namespace, name).await
}

async fn exists_in(s: &mut Session, kind: &str, namespace: &str, name: &str) -> Outcome<bool> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind));
    let api: Api<DynamicObject> = Api::namespaced_with(s.client().await?, namespace, &resource);
    let found = api.get_metadata_opt(name).await;
    found.map(|found| found.is_some()).map_err(|error| explain(s, &format!("cannot look for {kind} '{name}'"), error))
}
