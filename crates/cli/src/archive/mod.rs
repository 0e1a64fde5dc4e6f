//! `fission archive`: files in the storage service.

mod delete;
mod download;
mod get_url;
mod list;
mod upload;

use clap::Subcommand;

use crate::failure::Outcome;
use crate::session::Session;

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum ArchiveVerb {
    Upload(upload::UploadArgs),
    List(list::ListArgs),
    Delete(delete::DeleteArgs),
    GetUrl(get_url::GetUrlArgs),
    Download(download::DownloadArgs),
}

impl ArchiveVerb {
    pub(crate) async fn run(self, s: &mut Session) -> Outcome {
        match self {
            Self::Upload(args) => upload::run(args, s).await,
            Self::List(args) => list::run(args, s).await,
            Self::Delete(args) => delete::run(args, s).await,
            Self::GetUrl(args) => get_url::run(args, s),
            Self::Download(args) => download::run(args, s).await,
        }
    }
}
