//! What happens from the first look at the files until the command ends.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout_at};

use super::RunLocalArgs;
use super::platform::Place;
use super::project::{Project, Update};
use super::{call, language, project};
use crate::changes::Changes;
use crate::code::sources::SourceFlags;
use crate::env::Variables;
use crate::failure::Outcome;
use crate::function::logs::Lines;
use crate::io::Io;
use crate::session::Session;

/// Port of a function that goes on being served.
const PORT: u16 = 8888;
/// How often it is looked whether an environment is being prepared.
const LOOK: Duration = Duration::from_millis(200);
/// How long files that cannot be watched are left alone: a folder may be about to be made anew.
const WATCH_PAUSE: Duration = Duration::from_millis(200);
/// Longest wait for the last lines of a platform that is ending.
const LAST_LINES_WITHIN: Duration = Duration::from_secs(10);

/// How a run ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Answered,
    Interrupted,
}

/// Runs until the call is answered; for ever where the function goes on being served.
pub(super) async fn run(
    args: &RunLocalArgs,
    sources: &SourceFlags,
    place: &mut Place,
    s: &mut Session,
) -> Outcome<Ended> {
    let chosen = language::choose(args, sources, s).await?;
    s.io.complain(format_args!("environment: {} ({})", chosen.spec.runtime.image, chosen.why));
    let configuration = args.configuration.gather(s).await?;
    let port = args.port.unwrap_or(if args.is_one_call() { 0 } else { PORT });
    let running = place.start(port, &s.io).await?;
    // From here on all is about that platform, whatever variables say of others.
    let colours = s.io.vars.raw("NO_COLOR").map(|value| ("NO_COLOR", value.to_owned()));
    s.io.vars = colours.into_iter().collect::<Variables>();
    s.use_running(&running)?;

    // Before the files are read: what changes from then on is seen.
    let watched = Watched::new(args.watch.then(|| project::inputs(sources, &s.io)));
    let mut project = Project::declare(args, sources, chosen, &configuration, s).await?;
    call::route_is_there(&running.router).await?;
    let mut events = Events::new(place, Lines::follow(&project.name, s).await?);
    let built = project.built(s).await;
    if args.is_one_call() {
        built?;
        let outcome = make_call(args, &project, &running.router, &mut events, s).await;
        events.last(&mut s.io).await;
        return outcome.map(|()| Ended::Answered);
    }
    let first = args.call.is_given() || (args.keep && !args.watch);
    match built {
        Ok(()) if first => print(make_call(args, &project, &running.router, &mut events, s).await, s),
        built => print(built, s),
    }
    s.io.complain(format_args!("function '{}' answers at {}/ until Ctrl-C", project.name, running.router));
    serve(args, &mut project, watched, &running.router, events, s).await
}

fn print(outcome: Outcome, s: &mut Session) {
    if let Err(failure) = outcome {
        failure.print(&mut s.io);
    }
}

async fn make_call(
    args: &RunLocalArgs,
    project: &Project,
    router: &str,
    events: &mut Events<'_>,
    s: &mut Session,
) -> Outcome {
    args.call.send(router, events, s).await?.verdict(&project.name)
}

/// Shows what happens, and follows the files.
async fn serve(
    args: &RunLocalArgs,
    project: &mut Project,
    mut watched: Watched,
    router: &str,
    mut events: Events<'_>,
    s: &mut Session,
) -> Outcome<Ended> {
    loop {
        let changed = tokio::select! {
            biased;
            () = watched.next() => true,
            event = events.next() => {
                let line = event?;
                s.io.complain(line);
                false
            }
        };
        if !changed {
            continue;
        }
        let started = Instant::now();
        match project.update(s).await {
            Ok(Update::Same) => {}
            Ok(Update::Loaded) => {
                let took = started.elapsed().as_millis();
                s.io.complain(format_args!("the code changed; the next request runs it ({took} ms)"));
                if args.call.is_given() {
                    print(make_call(args, project, router, &mut events, s).await, s);
                }
            }
            Err(failure) => failure.print(&mut s.io),
        }
    }
}

/// What happens meanwhile: lines of the function, an environment that is prepared, a platform that breaks off.
pub(super) struct Events<'a> {
    place: &'a mut Place,
    lines: Option<Lines>,
    ready: VecDeque<String>,
    look: Interval,
}

impl<'a> Events<'a> {
    fn new(place: &'a mut Place, lines: Option<Lines>) -> Self {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { place, lines, ready: VecDeque::new(), look }
    }

    /// The next line to show; an error when the platform is gone.
    async fn next(&mut self) -> Outcome<String> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Ok(line);
            }
            tokio::select! {
                biased;
                line = next_line(&mut self.lines) => return Ok(line),
                failure = self.place.broke_off() => return Err(failure),
                _ = self.look.tick() => {}
            }
            self.ready.extend(self.place.preparations());
        }
    }

    /// Does something and shows meanwhile what happens.
    pub(super) async fn meanwhile<T>(&mut self, io: &mut Io, doing: impl Future<Output = T>) -> Outcome<T> {
        tokio::pin!(doing);
        loop {
            let line = tokio::select! {
                biased;
                done = &mut doing => return Ok(done),
                line = self.next() => line?,
            };
            io.complain(line);
        }
    }

    /// Lets the platform end, and shows what the function had still to say.
    async fn last(&mut self, io: &mut Io) {
        self.place.let_go();
        let deadline = Instant::now() + LAST_LINES_WITHIN;
        while self.lines.is_some() {
            match timeout_at(deadline, line_or_end(&mut self.lines)).await {
                Ok(Some(line)) => io.complain(line),
                Ok(None) | Err(_) => return,
            }
        }
    }
}

/// The next line; never where there are none.
async fn next_line(lines: &mut Option<Lines>) -> String {
    match line_or_end(lines).await {
        Some(line) => line,
        None => std::future::pending().await,
    }
}

async fn line_or_end(lines: &mut Option<Lines>) -> Option<String> {
    match lines.as_mut()?.next().await {
        Some(Ok(line)) => Some(line.text),
        Some(Err(_)) | None => {
            *lines = None;
            None
        }
    }
}

/// The files that are watched, if any are. They are watched anew after each change, as folders may be replaced.
struct Watched {
    inputs: Option<Vec<PathBuf>>,
    changes: Option<Changes>,
}

impl Watched {
    fn new(inputs: Option<Vec<PathBuf>>) -> Self {
        let changes = inputs.as_ref().and_then(|inputs| Changes::of(inputs).ok());
        Self { inputs, changes }
    }

    /// Waits for a change.
    async fn next(&mut self) {
        let Some(inputs) = &self.inputs else { return std::future::pending().await };
        loop {
            match &mut self.changes {
                Some(changes) => {
                    changes.next().await;
                    self.changes = Changes::of(inputs).ok();
                    return;
                }
                None => {
                    tokio::time::sleep(WATCH_PAUSE).await;
                    self.changes = Changes::of(inputs).ok();
                    if self.changes.is_some() {
                        return;
                    }
                }
            }
        }
    }
}
