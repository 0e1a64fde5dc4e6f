//! The command line itself: global flags, the table of nouns and verbs, and how words become commands.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::failure::{Failure, Outcome};
use crate::io::Io;
use crate::session::Session;
use crate::up::UpArgs;

/// Serverless functions: upload a function, bind it to a route, call it
#[derive(Debug, Parser)]
#[command(name = "fission", version, disable_help_subcommand = true, max_term_width = 110)]
struct Line {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    verb: Verb,
}

/// Flags every command takes.
#[derive(Clone, Debug, Default, Args)]
pub struct Globals {
    /// Namespace of the request
    #[arg(long, short, global = true, help_heading = "Global options")]
    pub namespace: Option<String>,
    /// Address of the API server, such as http://127.0.0.1:31313
    #[arg(long, global = true, value_name = "URL", help_heading = "Global options")]
    pub server: Option<String>,
    /// Kubeconfig file
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub kubeconfig: Option<String>,
    /// Context of the kubeconfig
    #[arg(long, global = true, value_name = "CONTEXT", help_heading = "Global options")]
    pub kube_context: Option<String>,
    /// 0 quiet, 1 normal, 2 verbose
    #[arg(
        long,
        short = 'v',
        global = true,
        default_value_t = 1,
        value_name = "LEVEL",
        help_heading = "Global options"
    )]
    pub verbosity: u8,
}

/// Every command. [`GROUPS`] says under which heading help shows it.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the platform on this machine
    Up(UpArgs),
    Down(crate::down::DownArgs),
    Status(crate::status::StatusArgs),
    /// Language runtimes functions are loaded into
    #[command(subcommand, visible_alias = "env")]
    Environment(crate::environment::EnvironmentVerb),
    /// Source or deployable code
    #[command(subcommand, visible_alias = "pkg")]
    Package(crate::package::PackageVerb),
    /// Code, the environment it runs in, and how instances are made
    #[command(subcommand, visible_alias = "fn")]
    Function(crate::function::FunctionVerb),
    /// Archives in the storage service
    #[command(subcommand, visible_alias = "ar")]
    Archive(crate::archive::ArchiveVerb),
    /// Routes: which requests reach which function
    #[command(subcommand, visible_aliases = ["ht", "route"])]
    Httptrigger(crate::route::RouteVerb),
    /// Functions called for each message of a topic
    #[command(subcommand, visible_alias = "mqt")]
    Mqtrigger(crate::mqtrigger::MqtriggerVerb),
    /// Functions called on a schedule
    #[command(subcommand, visible_aliases = ["tt", "timer"])]
    Timetrigger(crate::timetrigger::TimetriggerVerb),
    /// Functions called when Kubernetes objects change
    #[command(subcommand, visible_alias = "w")]
    Watch(crate::watch::WatchVerb),
    /// Objects kept as files and applied together
    #[command(subcommand, visible_alias = "specs")]
    Spec(crate::spec::SpecVerb),
    Export(crate::export::ExportArgs),
    /// Tokens of a router that asks for a login
    #[command(subcommand)]
    Token(crate::token::TokenVerb),
    /// Everything needed to understand a problem
    #[command(subcommand)]
    Support(crate::support::SupportVerb),
    Version(crate::version::VersionArgs),
    Check(crate::check::CheckArgs),
    Completion(crate::completion::CompletionArgs),
}

/// Headings of the help, in the order shown. Every command is under exactly one.
const GROUPS: &[(&str, &[&str])] = &[
    ("This machine", &["up", "down", "status"]),
    ("Basic", &["environment", "package", "function", "archive"]),
    ("Triggers", &["httptrigger", "mqtrigger", "timetrigger", "watch"]),
    ("Declarative", &["spec", "export"]),
    ("Auth", &["token"]),
    ("Other", &["check", "version", "support", "completion"]),
];

/// A command line that was understood.
#[derive(Debug)]
pub enum Parsed {
    /// `fission up`: the binary runs the platform.
    Up(UpArgs),
    /// Everything else: [`crate::run`] does it.
    Run(Request),
}

/// A command and its surroundings as the flags gave them.
#[derive(Debug)]
pub struct Request {
    globals: Globals,
    verb: Box<Verb>,
}

/// A command line that only wants text printed: help, or what is wrong with it.
#[derive(Debug)]
pub struct NotRun {
    /// The text, coloured if asked for.
    pub text: String,
    /// 0 for help, 1 for mistakes.
    pub exit: u8,
}

/// Understands a command line, program name first.
///
/// # Errors
/// When help was asked for or the line is wrong.
pub fn parse<I, T>(line: I) -> Result<Parsed, NotRun>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString>,
{
    let words = with_plain_verbosity(line.into_iter().map(Into::into).collect());
    let mut command = command();
    let parsed = command
        .try_get_matches_from_mut(words)
        .and_then(|matches| Line::from_arg_matches(&matches).map_err(|error| error.format(&mut command)));
    match parsed {
        Ok(Line { verb: Verb::Up(args), .. }) => Ok(Parsed::Up(args)),
        Ok(Line { globals, verb }) => Ok(Parsed::Run(Request { globals, verb: Box::new(verb) })),
        Err(error) => Err(not_run(&error)),
    }
}

impl Request {
    pub(crate) async fn run(self, io: Io) -> (Outcome, Io) {
        let (verb, mut s) = match Session::new(self.globals, io) {
            Ok(s) => (self.verb, s),
            Err(early) => return (Err(early.0), early.1),
        };
        let outcome = verb.run(&mut s).await;
        (outcome, s.io)
    }
}

impl Verb {
    async fn run(self, s: &mut Session) -> Outcome {
        match self {
            Self::Up(_) => Err(Failure::new("the platform is started by the fission binary, not from inside one")),
            Self::Down(args) => crate::down::run(args, s).await,
            Self::Status(args) => crate::status::run(args, s).await,
            Self::Environment(verb) => verb.run(s).await,
            Self::Package(verb) => verb.run(s).await,
            Self::Function(verb) => Box::pin(verb.run(s)).await,
            Self::Archive(verb) => verb.run(s).await,
            Self::Httptrigger(verb) => verb.run(s).await,
            Self::Mqtrigger(verb) => verb.run(s).await,
            Self::Timetrigger(verb) => verb.run(s).await,
            Self::Watch(verb) => verb.run(s).await,
            Self::Spec(verb) => Box::pin(verb.run(s)).await,
            Self::Export(args) => Box::pin(crate::export::run(args, s)).await,
            Self::Token(verb) => verb.run(s).await,
            Self::Support(verb) => verb.run(s).await,
            Self::Version(args) => crate::version::run(args, s).await,
            Self::Check(args) => crate::check::run(args, s).await,
            Self::Completion(args) => crate::completion::run(args, s),
        }
    }
}

/// The command tree, with what clap's derive cannot say.
pub(crate) fn command() -> Command {
    let command = with_switch_values(Line::command());
    let mut groups = String::new();
    for (heading, names) in GROUPS {
        groups.push_str(&format!("\n{heading}:\n"));
        for name in *names {
            let Some(found) = command.find_subcommand(name) else { continue };
            let aliases: Vec<&str> = found.get_visible_aliases().collect();
            let shown = std::iter::once(*name).chain(aliases).collect::<Vec<_>>().join(", ");
            let about = found.get_about().map(ToString::to_string).unwrap_or_default();
            groups.push_str(&format!("  {shown:<24} {about}\n"));
        }
    }
    command
        .help_template(format!("{{about}}\n\n{{usage-heading}} {{usage}}\n{groups}\n{{options}}{{after-help}}"))
        .after_help(
            "\nSTART HERE:\n  fission up\n  fission env create --name nodejs --image fission/node-env\n  \
         fission function create --name hello --env nodejs --code hello.js\n  \
         fission route create --method GET --url /hello --function hello",
        )
}

/// Lets every switch be written `--switch`, `--switch=true` and `--switch=false`, as Fission's do.
fn with_switch_values(command: Command) -> Command {
    command
        .mut_args(|arg| match arg.get_action() {
            ArgAction::SetTrue => arg
                .action(ArgAction::Set)
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
                .default_value("false")
                .hide_default_value(true)
                .hide_possible_values(true)
                .value_name("BOOL")
                .hide_possible_values(true),
            _ => arg,
        })
        .mut_subcommands(with_switch_values)
}

/// `-v` alone means verbose; the flag takes a number.
fn with_plain_verbosity(words: Vec<OsString>) -> Vec<OsString> {
    let mut out = Vec::with_capacity(words.len() + 1);
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        // What a container is given is its own.
        let is_value = out.last().is_some_and(|before| before == "--args" || before == "--command");
        let alone = !is_value && (word == "-v" || word == "--verbosity");
        out.push(word);
        let number = |word: &OsString| word.to_str().is_some_and(|word| word.parse::<u8>().is_ok());
        if alone && !words.peek().is_some_and(number) {
            out.push("2".into());
        }
    }
    out
}

fn not_run(error: &clap::Error) -> NotRun {
    let is_help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if is_help {
        return NotRun { text: error.render().to_string(), exit: 0 };
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return NotRun { text: error.render().to_string(), exit: 1 };
    }
    if let (ErrorKind::MissingRequiredArgument, Some(ContextValue::Strings(missing))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    {
        let names: Vec<String> = missing.iter().map(|flag| format!("{:?}", flag_name(flag))).collect();
        let usage = match error.get(ContextKind::Usage) {
            Some(ContextValue::StyledStr(usage)) => usage.to_string(),
            _ => String::new(),
        };
        let usage = usage.trim().trim_start_matches("Usage:").trim().to_owned();
        let text = format!("Error: required flag(s) {} not set\nhint: {usage}\n", names.join(", "));
        return NotRun { text, exit: 1 };
    }
    let rendered = error.render().to_string();
    let text = match rendered.strip_prefix("error: ") {
        Some(rest) => format!("Error: {rest}"),
        None => rendered,
    };
    NotRun { text, exit: 1 }
}

/// `--name <NAME>` without its dashes and value.
fn flag_name(flag: &str) -> &str {
    flag.trim_start_matches('-').split([' ', '=']).next().unwrap_or(flag)
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
