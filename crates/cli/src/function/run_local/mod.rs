//! `fission function run-local`: a function from files, run by a platform that exists only as long as the command.
//!
//! Nothing is emulated: the platform is this same program in a temporary folder ([`platform`]), so code is packed,
//! built, loaded and called as everywhere else ([`project`]). What a cluster would give it comes from flags
//! ([`configuration`], [`language`]). [`session`] is what happens until it ends.

mod call;
mod configuration;
mod language;
mod platform;
mod project;
mod session;

use clap::Args;

use self::platform::Place;
use self::session::Ended;
use super::options::OptionFlags;
use crate::code::sources::SourceFlags;
use crate::failure::{Failure, Outcome};
use crate::session::Session;

/// Run a function from local files, without a platform
///
/// A platform is started for this function alone and ended with the command. What a function prints, and what happens
/// to it, is shown on standard error; the answer is all there is on standard output.
#[derive(Clone, Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission function run-local --code hello.js
  fission fn run-local --code hello.py --method POST -b '{\"name\":\"x\"}' -H 'Content-Type: application/json'
  fission fn run-local --code hello.js --watch
  fission fn run-local --deploy dist/ --env nodejs --entrypoint server.handler --keep --port 0
  fission fn run-local --src . --env python --buildcmd ./build.sh --watch
  fission fn run-local --code mail.py --env-from .env --secret smtp/password=x --configmap limits=limits.env")]
pub(crate) struct RunLocalArgs {
    /// Name of the function; made from the file when not given
    #[arg(long)]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) sources: SourceFlags,
    /// Build what is given: --code and --deployarchive are source, too
    #[arg(long)]
    pub(crate) build: bool,
    /// Image the source is built with; that of the environment when not given
    #[arg(long, value_name = "IMAGE")]
    pub(crate) builder_image: Option<String>,
    /// Environment: one of the platform commands talk to, else a built-in one; found by the files when not given
    #[arg(long)]
    pub(crate) env: Option<String>,
    /// Image of the environment
    #[arg(long, conflicts_with = "env")]
    pub(crate) image: Option<String>,
    /// Version of the environment's interface, with --image: 1, 2 or 3
    #[arg(long, default_value_t = 2, value_name = "VERSION", value_parser = clap::value_parser!(i64).range(1..=3))]
    pub(crate) env_version: i64,
    /// Entry point; its meaning is the environment's
    #[arg(long, visible_alias = "entry")]
    pub(crate) entrypoint: Option<String>,
    /// What makes instances: poolmgr or newdeploy
    #[arg(long, default_value = "poolmgr", value_name = "TYPE", value_parser = ["poolmgr", "newdeploy"])]
    pub(crate) executortype: String,
    /// Port of the function; 0 takes a free one. 8888 with --keep or --watch, else a free one, when not given
    #[arg(long)]
    pub(crate) port: Option<u16>,
    #[command(flatten)]
    pub(crate) call: call::CallFlags,
    /// Go on serving after the call, until Ctrl-C
    #[arg(long)]
    pub(crate) keep: bool,
    /// Go on serving until Ctrl-C, and load the code again whenever it changes; a call is made first, and again after
    /// each change, when --method, --header, --body or --subpath is given
    #[arg(long, short)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) configuration: configuration::ConfigurationFlags,
    /// Port of a debugger; not possible here
    #[arg(long, value_name = "PORT", hide = true)]
    pub(crate) debug_port: Option<u16>,
}

impl RunLocalArgs {
    /// Whether the command ends by itself.
    fn is_one_call(&self) -> bool {
        !self.keep && !self.watch
    }

    /// How instances are made.
    fn scale(&self) -> OptionFlags {
        OptionFlags { executortype: Some(self.executortype.clone()), ..OptionFlags::default() }
    }

    /// Where code comes from, with what `--build` makes source of.
    fn sources(&self) -> SourceFlags {
        let mut sources = self.sources.clone();
        if self.build {
            let given = sources.code.take().into_iter().chain(std::mem::take(&mut sources.deployarchive));
            sources.sourcearchive.extend(given);
        }
        sources
    }
}

pub(crate) async fn run(args: RunLocalArgs, s: &mut Session) -> Outcome {
    let sources = args.sources();
    refuse_what_cannot_be(&args, &sources)?;
    let mut signals = platform::Signals::new()?;
    let mut place = Place::make()?;
    let outcome = tokio::select! {
        biased;
        () = signals.next() => Ok(Ended::Interrupted),
        outcome = session::run(&args, &sources, &mut place, s) => outcome,
    };
    place.end(&mut signals).await;
    match outcome? {
        // Who stays is ended by a signal: that is how it is meant.
        Ended::Interrupted if args.is_one_call() => Err(Failure::new("interrupted")),
        Ended::Interrupted | Ended::Answered => Ok(()),
    }
}

fn refuse_what_cannot_be(args: &RunLocalArgs, sources: &SourceFlags) -> Outcome {
    if args.debug_port.is_some() {
        return Err(Failure::new(
            "--debug-port is not possible: servers of environments are started before they have a function, and without a debugger",
        )
        .hint("print what you want to see: every line is shown, and --watch has the change running when it is saved"));
    }
    if sources.oci.is_some() {
        return Err(Failure::new("--oci is not possible here: what runs is what is edited, and an image is not")
            .hint("give files: --code hello.js, or a folder: --deployarchive dist/"));
    }
    if sources.is_empty() {
        return Err(Failure::new("no code is given: need --code, --deployarchive or --sourcearchive")
            .hint("a single file: --code hello.js; a folder: --deployarchive dist/; to be built: --sourcearchive ."));
    }
    Ok(())
}
