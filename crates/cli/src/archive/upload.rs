//! `fission archive upload`.

use clap::Args;

use crate::code::payload::Payload;
use crate::failure::{Doing, Outcome};
use crate::session::Session;
use crate::storage;

/// Put a file into the storage service
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  fission archive upload --name code.zip")]
pub(crate) struct UploadArgs {
    /// The file
    #[arg(long, value_name = "FILE")]
    pub(crate) name: String,
}

pub(super) async fn run(args: UploadArgs, s: &mut Session) -> Outcome {
    let path = s.io.path(&args.name);
    let size = std::fs::metadata(&path).doing(format_args!("cannot read {}", args.name))?.len();
    Payload::of_file(path.clone())?; // readable, and not a folder
    let id = storage::upload(s, &path, size).await?;
    s.io.say(format_args!("File successfully uploaded with ID: {id}"))
}
