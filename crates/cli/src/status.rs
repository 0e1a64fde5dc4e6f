//! `fission status`: what runs on this machine, where, and how to point programs at it.

use std::path::PathBuf;

use clap::Args;
use kube::core::DynamicObject;
use serde_json::{Value, json};

use crate::conditions::age;
use crate::failure::{Failure, Outcome};
use crate::output::{Format, OutputFlag, rendered};
use crate::running::{Running, default_data_dir};
use crate::session::Session;
use crate::table::{Column, aligned, column, of_objects};
use crate::{check, pods};

/// Show the platform on this machine
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission status
  fission status -o json
  eval \"$(fission status --exports)\"")]
pub(crate) struct StatusArgs {
    /// Its data folder; $FISSION_DATA, else $XDG_DATA_HOME/fission, else ~/.local/share/fission
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print only the line of exports
    #[arg(long)]
    pub(crate) exports: bool,
    #[command(flatten)]
    pub(crate) output: OutputFlag,
}

const INSTANCES: [Column<DynamicObject>; 5] = [
    column("INSTANCE", |pod| pod.metadata.name.clone().unwrap_or_default()),
    column("ENVIRONMENT", |pod| label(pod, fission_api::labels::ENVIRONMENT_NAME)),
    column("FUNCTION", |pod| match label(pod, fission_api::labels::FUNCTION_NAME) {
        function if function.is_empty() => "-".to_owned(),
        function => function,
    }),
    column("STATUS", |pod| pod.data["status"]["phase"].as_str().unwrap_or_default().to_owned()),
    column("AGE", |pod| age(pod.metadata.creation_timestamp.as_ref())),
];

pub(crate) async fn run(args: StatusArgs, s: &mut Session) -> Outcome {
    let default_dir = default_data_dir(&s.io.vars);
    let dir = args.data.map_or_else(|| default_dir.clone(), |dir| s.io.dir.join(dir));
    let running = match Running::read(&dir).map_err(Failure::new)? {
        Some(running) if running.is_alive() => running,
        _ if args.output.output == Format::Json => return s.io.say(json!({ "running": false, "dataDir": dir })),
        _ => {
            return Err(
                Failure::new(format_args!("no platform runs in {}", dir.display())).hint("start one with: fission up")
            );
        }
    };
    if args.exports {
        return s.io.say(running.exports(&default_dir));
    }
    // This command is about the platform in that folder, whatever server others would choose.
    s.use_running(&running)?;
    let instances = pods::with_labels(s, &[]).await;
    let report = check::report(s).await.ok().flatten();
    if let Format::Json | Format::Yaml = args.output.output {
        let mut all = serde_json::to_value(&running).unwrap_or_default();
        all["running"] = json!(true);
        all["instances"] = instances.ok().and_then(|found| serde_json::to_value(found).ok()).unwrap_or(Value::Null);
        all["report"] = report.unwrap_or(Value::Null);
        let text = rendered(args.output.output, &all)?;
        return s.io.write(text);
    }
    let rows = [
        ("Version:", running.version.clone()),
        ("Process:", format!("{} (since {})", running.pid, running.started.strftime("%Y-%m-%d %H:%M:%S UTC"))),
        ("API:", running.api.clone()),
        ("Router:", running.router.clone()),
        ("Data:", running.data_dir.display().to_string()),
        ("Kubeconfig:", running.kubeconfig().display().to_string()),
    ];
    s.io.write(aligned(rows.into_iter().map(|(label, value)| vec![label.to_owned(), value]).collect()))?;
    s.io.say(format_args!("\n{}\n", running.exports(&default_dir)))?;
    match instances {
        Ok(found) if found.is_empty() => s.io.say("no instances run"),
        Ok(found) => s.io.write(of_objects(&INSTANCES, &found, false)),
        Err(failure) => Err(failure),
    }
}

fn label(pod: &DynamicObject, key: &str) -> String {
    pod.metadata.labels.as_ref().and_then(|labels| labels.get(key)).cloned().unwrap_or_default()
}
