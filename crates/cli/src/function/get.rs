//! `fission function get`: the code, exactly as instances are given it.

use clap::Args;
use fission_api::{Function, Package};

use crate::failure::{Failure, Outcome};
use crate::flags::NameFlag;
use crate::output::{self, OutputFlag};
use crate::session::Session;
use crate::{noun, package};

/// Write the code of a function to standard output
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission function get --name hello
  fission fn get --name hello > hello.js
  fission fn get --name hello -o yaml     # the object instead of its code")]
pub(crate) struct GetArgs {
    #[command(flatten)]
    pub(crate) name: NameFlag,
    #[command(flatten)]
    pub(crate) output: OutputFlag,
}

pub(crate) async fn run(args: GetArgs, s: &mut Session) -> Outcome {
    let function: Function = noun::get(s, &args.name.name).await?;
    if args.output.output != output::Format::Text {
        return output::one(s, args.output.output, &super::COLUMNS, &function);
    }
    let name = &function.spec.package.package_ref.name;
    if name.is_empty() {
        let name = &args.name.name;
        let image = super::container::image(&function);
        return Err(Failure::new(format_args!("function '{name}' has no package: its code is in its image {image}"))
            .hint(format_args!("see it with: fission function describe --name {name}")));
    }
    let package: Package = noun::get(s, name).await?;
    let bytes = package::deployment_bytes(s, &package).await?;
    s.io.write_bytes(&bytes)
}
