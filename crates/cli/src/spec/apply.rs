//! `fission spec apply`: make the server have what the files say.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::files::{DEFAULT_DIR, Item, Specs};
use super::kinds::{DESTROY_ORDER, Live, MANAGED, Managed, managed_kind, owner};
use super::validate::{conflict, of_files, of_server, report};
use super::{archives, commit, destroy};
use crate::changes::Changes;
use crate::code::bundle::split_pattern;
use crate::failure::{Doing, Failure, Outcome};
use crate::noun::explain;
use crate::session::Session;

/// Times an object is written again over a controller's write. Each loss means that another writer won, so few are enough.
const CONFLICT_TRIES: u32 = 8;
/// Pause between two looks at a build.
const BUILD_PAUSE: Duration = Duration::from_millis(500);

/// Make the server have what a spec directory says
#[derive(Clone, Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission spec apply
  fission spec apply --watch
  fission spec apply --delete --wait
  fission spec apply --dry-run")]
pub(crate) struct ApplyArgs {
    /// The directory
    #[arg(long, default_value = DEFAULT_DIR, value_name = "DIR")]
    pub(crate) specdir: String,
    /// File that lists files not to read
    #[arg(long, value_name = "FILE")]
    pub(crate) specignore: Option<String>,
    /// Delete objects of this deployment that no file names any more
    #[arg(long)]
    pub(crate) delete: bool,
    /// Wait until packages are built; a failed build is an error
    #[arg(long)]
    pub(crate) wait: bool,
    /// Apply again whenever files change, until interrupted
    #[arg(long)]
    pub(crate) watch: bool,
    /// false skips validation
    #[arg(long, default_value = "true", value_name = "BOOL")]
    pub(crate) validation: String,
    /// Label objects with the commit the files are at
    #[arg(long)]
    pub(crate) commitlabel: bool,
    /// Take over objects of other deployments; with --delete everything the files do not name is deleted
    #[arg(long)]
    pub(crate) allowconflicts: bool,
    /// Put every object into the namespace of the request, whatever the files say
    #[arg(long, visible_alias = "force")]
    pub(crate) force_namespace: bool,
    /// Say what would be done and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

pub(super) async fn run(args: ApplyArgs, s: &mut Session) -> Outcome {
    if !args.watch || args.dry_run {
        return once(&args, s).await;
    }
    let dir = s.io.path(&args.specdir);
    loop {
        // Watched before it is read, so that no change is missed; anew each time, as archives come and go.
        let mut changes = Changes::of(&inputs(&dir))?;
        if let Err(failure) = once(&args, s).await {
            failure.print(&mut s.io);
        }
        s.io.say("Watching files for changes...")?;
        if !changes.next().await {
            return Ok(());
        }
    }
}

/// What an apply reads: the directory, and the files of its archives.
fn inputs(dir: &Path) -> Vec<PathBuf> {
    let mut inputs = vec![dir.to_owned()];
    // A directory that cannot be read now is watched until it can.
    if let Ok(specs) = Specs::read(dir, None) {
        for (archive, _) in &specs.archives {
            let root = specs.root.join(&archive.rootdir);
            inputs.extend(archive.include.iter().map(|include| split_pattern(&root, include).0));
        }
    }
    inputs
}

async fn once(args: &ApplyArgs, s: &mut Session) -> Outcome {
    let ignore = args.specignore.as_deref().map(|file| s.io.path(file));
    let dir = s.io.path(&args.specdir);
    let mut specs = Specs::read(&dir, ignore.as_deref())?;
    if specs.uid.is_empty() {
        return Err(Failure::new(format_args!("{} has no deployment uid", args.specdir))
            .hint("make one with: fission spec init"));
    }
    s.client().await?;
    let namespace = s.namespace.clone();
    specs.settle_namespaces(&namespace, args.force_namespace)?;
    let findings = if args.validation == "false" { None } else { Some(of_files(&specs)) };
    let live = Live::read(&specs, s).await?;
    if let Some(mut findings) = findings {
        of_server(&specs, &live, args.allowconflicts, s, &mut findings).await?;
        report(findings, s)?;
    }
    let commit = if args.commitlabel { commit::label(&dir, s)? } else { None };
    let mut run = Run { args, commit, packages: HashMap::new(), changed_anything: false };
    for kind in MANAGED {
        run.kind(kind, &mut specs, live.of(kind.kind), s).await?;
    }
    if args.delete {
        run.delete(&specs, s).await?;
    }
    if !run.changed_anything {
        s.io.say("Everything up to date.")?;
    }
    if args.dry_run {
        return s.io.say("(dry run - no changes made)");
    }
    if args.wait { wait_for_builds(&specs, s).await } else { Ok(()) }
}

/// What is known of a package after it was applied.
struct AppliedPackage {
    resource_version: String,
    changed: bool,
}

/// One pass over the kinds.
struct Run<'a> {
    args: &'a ApplyArgs,
    commit: Option<String>,
    packages: HashMap<(String, String), AppliedPackage>,
    changed_anything: bool,
}

impl Run<'_> {
    async fn kind(&mut self, kind: &Managed, specs: &mut Specs, live: &[DynamicObject], s: &mut Session) -> Outcome {
        if specs.of_kind(kind.kind).next().is_none() {
            return Ok(());
        }
        if kind.kind == "Package" {
            archives::resolve(specs, live, self.args.dry_run, s).await?;
        }
        if kind.kind == "HTTPTrigger" {
            refuse_same_routes(specs, live)?;
        }
        let (mut created, mut updated) = (Vec::new(), Vec::new());
        for item in specs.of_kind(kind.kind) {
            let there = live.iter().find(|object| is(object, item));
            if there.is_some_and(|object| owner(object) != Some(&specs.uid)) && !self.args.allowconflicts {
                return Err(Failure::new(conflict(item)));
            }
            let wanted = self.wanted(item, specs, there);
            let stored = match there {
                None => {
                    created.push(item.name.clone());
                    self.create(kind, item, wanted, s).await?
                }
                Some(there) if is_same(kind, there, &wanted)? => None,
                Some(there) => {
                    updated.push(item.name.clone());
                    self.replace(kind, item, wanted, there, s).await?
                }
            };
            if kind.kind == "Package" {
                let changed = there.is_none() || updated.last() == Some(&item.name);
                let newest = stored.as_ref().or(there);
                let resource_version =
                    newest.and_then(|object| object.metadata.resource_version.clone()).unwrap_or_default();
                let key = (item.namespace.clone(), item.name.clone());
                self.packages.insert(key, AppliedPackage { resource_version, changed });
            }
        }
        self.summary(kind, "created", &created, s)?;
        self.summary(kind, "updated", &updated, s)
    }

    /// The object as it shall be: the file's, with the marks of its deployment.
    fn wanted(&self, item: &Item, specs: &Specs, there: Option<&DynamicObject>) -> Value {
        let mut wanted = item.value.clone();
        if let Some(map) = wanted.as_object_mut() {
            map.remove("status");
            map.insert("apiVersion".to_owned(), json!(format!("{}/{}", fission_api::GROUP, fission_api::VERSION)));
        }
        let metadata = &mut wanted["metadata"];
        for field in ["creationTimestamp", "resourceVersion", "uid", "generation", "managedFields", "selfLink"] {
            metadata.as_object_mut().and_then(|map| map.remove(field));
        }
        metadata["annotations"][fission_api::labels::SPEC_NAME] = json!(specs.name);
        metadata["annotations"][fission_api::labels::SPEC_UID] = json!(specs.uid);
        if let Some(commit) = &self.commit {
            metadata["labels"]["commit"] = json!(commit);
        }
        if item.kind == "Function" {
            self.stamp(&mut wanted["spec"]["package"]["packageref"], &item.namespace, there);
        }
        wanted
    }

    /// A changed package redeploys its functions; an unchanged one leaves their stamp alone, so that nothing restarts.
    fn stamp(&self, reference: &mut Value, namespace: &str, there: Option<&DynamicObject>) {
        let name = reference["name"].as_str().unwrap_or_default().to_owned();
        let Some(package) = self.packages.get(&(namespace.to_owned(), name.clone())) else { return };
        let old = there.map(|object| &object.data["spec"]["package"]["packageref"]);
        let old = old.filter(|old| old["name"] == name.as_str()).and_then(|old| old["resourceversion"].as_str());
        reference["resourceversion"] = match old.filter(|stamp| !stamp.is_empty() && !package.changed) {
            Some(stamp) => json!(stamp),
            None => json!(package.resource_version),
        };
    }

    async fn create(
        &mut self,
        kind: &Managed,
        item: &Item,
        wanted: Value,
        s: &mut Session,
    ) -> Outcome<Option<DynamicObject>> {
        if self.args.dry_run {
            return Ok(None);
        }
        let api = kind.api(s.client().await?, &item.namespace);
        let object: DynamicObject = serde_json::from_value(wanted).doing(&item.place)?;
        let created = api.create(&PostParams::default(), &object).await;
        created
            .map(Some)
            .map_err(|error| explain(s, &format!("{}: cannot create {} '{}'", item.place, item.kind, item.name), error))
    }

    /// Labels, annotations and spec become the file's. Finalizers and owners belong to whoever set them and stay.
    async fn replace(
        &mut self,
        kind: &Managed,
        item: &Item,
        wanted: Value,
        there: &DynamicObject,
        s: &mut Session,
    ) -> Outcome<Option<DynamicObject>> {
        if self.args.dry_run {
            return Ok(None);
        }
        let api = kind.api(s.client().await?, &item.namespace);
        let mut object: DynamicObject = serde_json::from_value(wanted).doing(&item.place)?;
        object.metadata.resource_version.clone_from(&there.metadata.resource_version);
        object.metadata.finalizers.clone_from(&there.metadata.finalizers);
        object.metadata.owner_references.clone_from(&there.metadata.owner_references);
        let doing = format!("{}: cannot update {} '{}'", item.place, item.kind, item.name);
        let mut tries = CONFLICT_TRIES;
        let replaced = loop {
            tries -= 1;
            match api.replace(&item.name, &PostParams::default(), &object).await {
                Ok(replaced) => break replaced,
                // A controller wrote it meanwhile, as when a function follows its package. The files still decide.
                Err(kube::Error::Api(status)) if status.code == 409 && tries > 0 => {
                    let newest = api.get(&item.name).await.map_err(|error| explain(s, &doing, error))?;
                    object.metadata.resource_version = newest.metadata.resource_version;
                    object.metadata.finalizers = newest.metadata.finalizers;
                    object.metadata.owner_references = newest.metadata.owner_references;
                }
                Err(error) => return Err(explain(s, &doing, error)),
            }
        };
        let needs_build = kind.kind == "Package" && !is_empty(&item.value["spec"]["source"]);
        if !needs_build {
            return Ok(Some(replaced));
        }
        let pending = Patch::Merge(json!({ "status": { "buildstatus": "pending" } }));
        let queued = api.patch_status(&item.name, &PatchParams::default(), &pending).await;
        queued.map(Some).map_err(|error| explain(s, &doing, error))
    }

    /// Deletes owned objects that no file names.
    async fn delete(&mut self, specs: &Specs, s: &mut Session) -> Outcome {
        for kind in DESTROY_ORDER.iter().filter_map(|kind| managed_kind(kind)) {
            let live = kind.live(s).await?;
            let mut deleted = Vec::new();
            for object in live {
                let owned = self.args.allowconflicts || owner(&object) == Some(&specs.uid);
                if !owned || specs.of_kind(kind.kind).any(|item| is(&object, item)) {
                    continue;
                }
                let (namespace, name) =
                    (object.metadata.namespace.unwrap_or_default(), object.metadata.name.unwrap_or_default());
                if self.args.dry_run || destroy::delete(kind, &namespace, &name, s).await? {
                    deleted.push(name);
                }
            }
            self.summary(kind, "deleted", &deleted, s)?;
        }
        Ok(())
    }

    fn summary(&mut self, kind: &Managed, what: &str, names: &[String], s: &mut Session) -> Outcome {
        if names.is_empty() {
            return Ok(());
        }
        self.changed_anything = true;
        let plural = if names.len() == 1 { "" } else { "s" };
        let would = if self.args.dry_run { "would be " } else { "" };
        s.io.say(format_args!("{} {}{plural} {would}{what}: {}", names.len(), kind.word, names.join(", ")))
    }
}

fn is(object: &DynamicObject, item: &Item) -> bool {
    object.metadata.name.as_deref() == Some(&item.name) && object.metadata.namespace.as_deref() == Some(&item.namespace)
}

fn is_empty(archive: &Value) -> bool {
    ["literal", "url", "oci"].iter().all(|field| archive[*field].is_null() || archive[*field] == "")
}

/// Whether the server already has it: labels, annotations and spec, defaults aside.
fn is_same(kind: &Managed, there: &DynamicObject, wanted: &Value) -> Outcome<bool> {
    let maps = |value: &Value| {
        let map = |field: &str| value[field].as_object().cloned().unwrap_or_default();
        (map("labels"), map("annotations"))
    };
    let live = serde_json::to_value(there).doing("cannot read a stored object")?;
    if maps(&live["metadata"]) != maps(&wanted["metadata"]) {
        return Ok(false);
    }
    let (live_spec, wanted_spec) = (kind.comparable(&live)?, kind.comparable(wanted)?);
    if kind.kind != "Package" {
        return Ok(live_spec == wanted_spec);
    }
    // The builder adds a deployment to a package with source; that does not make it another package.
    let built = !is_empty(&wanted_spec["source"])
        && ["environment", "source", "buildcmd"].iter().all(|field| live_spec[*field] == wanted_spec[*field]);
    let failed = live["status"]["buildstatus"] == "failed";
    Ok((live_spec == wanted_spec || built) && !failed)
}

/// Two routes with the same path, host and methods: the second would never be reached.
fn refuse_same_routes(specs: &Specs, live: &[DynamicObject]) -> Outcome {
    let typed = |value: Value| serde_json::from_value::<fission_api::HTTPTrigger>(value).ok();
    let in_files: Vec<_> = specs.of_kind("HTTPTrigger").filter_map(|item| typed(item.value.clone())).collect();
    let others = live.iter().filter(|object| !specs.of_kind("HTTPTrigger").any(|item| is(object, item)));
    let others: Vec<_> = others.filter_map(|object| typed(serde_json::to_value(object).ok()?)).collect();
    for route in &in_files {
        let namespace = |other: &&fission_api::HTTPTrigger| other.metadata.namespace == route.metadata.namespace;
        let all: Vec<_> = in_files.iter().chain(&others).filter(namespace).cloned().collect();
        if let Some(other) = crate::route::same_place(&all, route) {
            let names = [route, other].map(|route| route.metadata.name.clone().unwrap_or_default());
            return Err(Failure::new(format_args!(
                "HTTPTrigger '{}' and '{}' match the same path with the same methods",
                names[0], names[1]
            )));
        }
    }
    Ok(())
}

async fn wait_for_builds(specs: &Specs, s: &mut Session) -> Outcome {
    let Some(kind) = managed_kind("Package") else { return Ok(()) };
    for item in specs.of_kind("Package") {
        let api = kind.api(s.client().await?, &item.namespace);
        loop {
            let doing = format!("cannot read package '{}'", item.name);
            let package = api.get(&item.name).await.map_err(|error| explain(s, &doing, error))?;
            let needs_build = !is_empty(&package.data["spec"]["source"]);
            match package.data["status"]["buildstatus"].as_str().unwrap_or_default() {
                "succeeded" | "none" => break,
                "failed" => {
                    let log = package.data["status"]["buildlog"].as_str().unwrap_or_default();
                    s.io.say(format_args!("--- Build FAILED: ---\n{}\n------", log.trim_end()))?;
                    return Err(Failure::new(format_args!("the build of package '{}' failed", item.name))
                        .hint(format_args!("see its log with: fission package info --name {}", item.name)));
                }
                _ if !needs_build => break,
                _ => tokio::time::sleep(BUILD_PAUSE).await,
            }
        }
        if !is_empty(&item.value["spec"]["source"]) {
            s.io.say(format_args!("--- Build SUCCEEDED: {} ---", item.name))?;
        }
    }
    Ok(())
}
