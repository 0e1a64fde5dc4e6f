//! `fission package info`.

use clap::Args;
use fission_api::{Archive, Package};

use kube::ResourceExt;

use super::list::{last_update, rfc822};
use super::{build_status, follow};
use crate::failure::Outcome;
use crate::flags::NameFlag;
use crate::output::{self, Format, OutputFlag};
use crate::session::Session;
use crate::table::aligned;
use crate::{conditions, noun};

/// Show a package: where its code is, and how its build went
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission package info --name hello
  fission package info --name hello --follow
  fission pkg info --name hello -o yaml")]
pub(crate) struct InfoArgs {
    #[command(flatten)]
    pub(crate) name: NameFlag,
    /// Show the log of a build while it grows, until the build has ended; 1 is the exit code of one that failed
    #[arg(long, short)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) output: OutputFlag,
}

pub(crate) async fn run(args: InfoArgs, s: &mut Session) -> Outcome {
    let package: Package = noun::get(s, &args.name.name).await?;
    let format = args.output.output;
    if args.follow {
        if format.is_for_programs() {
            let ended = follow::silently(package, s).await?;
            output::one::<Package>(s, format, &[], &ended)?;
            return follow::verdict(&ended);
        }
        table(&package, format, s)?;
        s.io.say("Build Logs:")?;
        let ended = follow::printing(package, s, |io, text| io.write(text)).await?;
        s.io.say(format_args!("Status: {}", build_status(&ended)))?;
        return follow::verdict(&ended);
    }
    if format.is_for_programs() {
        return output::one::<Package>(s, format, &[], &package);
    }
    table(&package, format, s)?;
    let Some(status) = &package.status else { return Ok(()) };
    if !status.conditions.is_empty() {
        s.io.say("Conditions:")?;
        s.io.write(conditions::table(&status.conditions))?;
    }
    if status.build_log.is_empty() {
        return Ok(());
    }
    s.io.say("Build Logs:")?;
    s.io.say(status.build_log.trim_end())
}

/// What a package is, in labelled lines.
fn table(package: &Package, format: Format, s: &mut Session) -> Outcome {
    let show = format == Format::Wide;
    let mut rows = vec![
        ("Name:", package.name_any()),
        ("Environment:", package.spec.environment.name.clone()),
        ("Status:", build_status(package).to_owned()),
        ("Last update:", rfc822(last_update(package))),
        ("Source:", describe(&package.spec.source, show)),
        ("Deployment:", describe(&package.spec.deployment, show)),
        ("Build command:", package.spec.buildcmd.clone()),
    ];
    rows.retain(|(_, value)| !value.is_empty());
    s.io.write(aligned(rows.into_iter().map(|(label, value)| vec![label.to_owned(), value]).collect()))
}

/// Where an archive is, and how large when that is known.
pub(crate) fn describe(archive: &Archive, show_checksum: bool) -> String {
    if let Some(literal) = &archive.literal {
        return format!("literal, {} bytes", literal.0.len());
    }
    if let Some(oci) = &archive.oci {
        let digest = if oci.digest.is_empty() { String::new() } else { format!("@{}", oci.digest) };
        let folder = if oci.sub_path.is_empty() { String::new() } else { format!(", folder {}", oci.sub_path) };
        return format!("image {}{digest}{folder}", oci.image);
    }
    match archive.url.as_str() {
        "" => String::new(),
        url if show_checksum && !archive.checksum.sum.is_empty() => format!("{url} (sha256 {})", archive.checksum.sum),
        url => url.to_owned(),
    }
}
