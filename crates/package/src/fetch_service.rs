//! The fetcher of a builder's pod: gets the source of a package into the directory it shares with the builder, and stores
//! what the builder made of it.

mod package;

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use fission_api::{Archive, BuildStatus, Package};
use fission_rpc::fetch::{self, FetchRequest, UploadRequest, UploadResponse};
use serde::de::DeserializeOwned;
use tempfile::NamedTempFile;

use crate::archive::{self, ArchiveError, UnpackLimits};
use crate::build::pack::{self, PackError};
use crate::build::stored_as;
use crate::shared_dir::SharedDir;
use crate::source::{Failure, FetchLimits, Origins, checksum};
use crate::storage::{Archives, StorageError};

/// Beginning of the names of what is not complete yet.
const PARTIAL: &str = ".fission-partial-";

/// Serves `/fetch` and `/upload`. Cheap to clone.
#[derive(Clone)]
pub struct FetchService {
    inner: Arc<Inner>,
}

struct Inner {
    client: kube::Client,
    origins: Origins,
    archives: Archives,
    dir: SharedDir,
    limits: UnpackLimits,
}

/// A request that was not served; the text is for the user.
type Refused = (StatusCode, String);

impl FetchService {
    /// The service of a directory, which must be there. Packages are read through `client`.
    pub fn new(client: kube::Client, archives: impl Into<Archives>, shared_dir: &Path) -> io::Result<Self> {
        let archives = archives.into();
        let origins = Origins::new(archives.clone(), FetchLimits::default());
        let (dir, limits) = (SharedDir::open(shared_dir)?, UnpackLimits::default());
        Ok(Self { inner: Arc::new(Inner { client, origins, archives, dir, limits }) })
    }

    /// Its routes, for everybody: put a [`fission_rpc::signed::Verifier`] before them.
    pub fn http(&self) -> Router {
        Router::new().route("/fetch", post(fetch)).route("/upload", post(upload)).with_state(self.clone())
    }

    /// Puts an archive where the request says, so that everybody in the pod may change it. What is there already is taken
    /// for it.
    pub async fn fetch(&self, request: &FetchRequest) -> Result<(), Refused> {
        let inner = &self.inner;
        inner.dir.path(&request.filename).map_err(|why| (StatusCode::BAD_REQUEST, why))?;
        if inner.dir.has(&request.filename) {
            return Ok(());
        }
        let archive = inner.archive(request).await?;
        inner.place(&archive, request).await
    }

    /// Stores a file or folder of the directory.
    pub async fn upload(&self, request: &UploadRequest) -> Result<UploadResponse, Refused> {
        let inner = &self.inner;
        let path = inner.dir.path(&request.filename).map_err(|why| (StatusCode::BAD_REQUEST, why))?;
        let is_folder = inner.dir.is_folder(&request.filename).map_err(|error| {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{:?} cannot be read: {error}", request.filename))
        })?;
        if is_folder && !request.archivepackage {
            let why = "the build made a folder, but its environment keeps archives as they are (keeparchive): it must \
                       make one file";
            return Err((StatusCode::BAD_REQUEST, why.to_owned()));
        }
        let limits = inner.limits;
        let packing = tokio::task::spawn_blocking(move || {
            let mut file = tempfile::tempfile()?;
            let notes = pack::pack(&path, &mut file, &limits)?;
            Ok::<_, PackError>((file, notes))
        });
        let packed = packing.await.map_err(|error| broken(&error))?;
        let (file, notes) = packed.map_err(|error| match error {
            PackError::Io(error) => broken(&error),
            error => (StatusCode::BAD_REQUEST, error.to_string()),
        })?;
        let (id, sum) = inner.archives.put_file(file).await.map_err(|error| match error {
            error @ (StorageError::TooLarge { .. } | StorageError::Refused { .. }) => {
                (StatusCode::BAD_REQUEST, error.to_string())
            }
            error => broken(&error),
        })?;
        let archive = stored_as(&id, sum);
        Ok(UploadResponse { archive_download_url: archive.url, checksum: archive.checksum, notes })
    }
}

impl Inner {
    /// What to fetch.
    async fn archive(&self, request: &FetchRequest) -> Result<Archive, Refused> {
        if let Some(archive) = &request.archive {
            return Ok(archive.clone());
        }
        if request.fetch_type == fetch::URL {
            return Ok(Archive { url: request.url.clone(), ..Archive::default() });
        }
        let package = package::read(&self.client, &request.package).await?;
        match request.fetch_type {
            fetch::SOURCE => Ok(package.spec.source),
            fetch::DEPLOYMENT if is_deployable(&package) => Ok(package.spec.deployment),
            fetch::DEPLOYMENT => {
                Err((StatusCode::INTERNAL_SERVER_ERROR, "the package is not built; its status says why".to_owned()))
            }
            other => Err((StatusCode::BAD_REQUEST, format!("fetchType {other} is none of 0, 1 and 2"))),
        }
    }

    async fn place(&self, archive: &Archive, request: &FetchRequest) -> Result<(), Refused> {
        let wanted = match archive.literal.is_some() {
            true => None,
            false => checksum(archive)?,
        };
        let origin = self.origins.find(archive)?;
        let partial = || tempfile::Builder::new().prefix(PARTIAL).to_owned();
        let mut file = partial().tempfile_in(self.dir.place()).map_err(|error| broken(&error))?;
        let content = self.origins.content(origin, file.as_file()).await?;
        let (folder, limits) = (self.dir.place().to_owned(), self.limits);
        let keep_archive = request.keeparchive;
        let writing = tokio::task::spawn_blocking(move || {
            let found = content.write(file.as_file_mut())?;
            if let Some(wanted) = wanted.filter(|wanted| *wanted != found) {
                let why = format!("its sha256 is {found}, but its checksum says {wanted}");
                return Err((StatusCode::BAD_REQUEST, why));
            }
            if keep_archive || !archive::starts_as_zip(file.as_file()).map_err(|error| broken(&error))? {
                open_up(file.path()).map_err(|error| broken(&error))?;
                return Ok(Partial::File(file));
            }
            let tree = partial().tempdir_in(folder).map_err(|error| broken(&error))?;
            archive::unpack(file.as_file_mut(), tree.path(), &limits).map_err(|error| match error {
                error @ ArchiveError::Write { .. } => broken(&error),
                error => (StatusCode::BAD_REQUEST, error.to_string()),
            })?;
            open_up(tree.path()).map_err(|error| broken(&error))?;
            Ok(Partial::Folder(tree))
        });
        let partial = writing.await.map_err(|error| broken(&error))??;
        // Somebody else was faster where the name is taken.
        let renamed = self.dir.rename(partial.path(), &request.filename).map_err(|error| broken(&error))?;
        if renamed {
            partial.keep();
        }
        Ok(())
    }
}

/// What is not complete yet; removed when it is dropped.
enum Partial {
    File(NamedTempFile),
    Folder(tempfile::TempDir),
}

impl Partial {
    fn path(&self) -> &Path {
        match self {
            Self::File(file) => file.path(),
            Self::Folder(folder) => folder.path(),
        }
    }

    /// It has another name now.
    fn keep(self) {
        match self {
            // Nothing has the old name that could be removed.
            Self::File(file) => _ = file.into_temp_path().keep(),
            Self::Folder(folder) => _ = folder.keep(),
        }
    }
}

fn is_deployable(package: &Package) -> bool {
    let status = package.status.as_ref().map(|status| status.build_status).unwrap_or_default();
    matches!(status, BuildStatus::Succeeded | BuildStatus::None)
}

/// Lets every user of the pod write: the builder is another one than the fetcher, and nobody else sees the directory.
/// Blocking.
fn open_up(top: &Path) -> io::Result<()> {
    let mut left: Vec<PathBuf> = vec![top.to_owned()];
    while let Some(path) = left.pop() {
        let found = std::fs::symlink_metadata(&path)?;
        let mode = found.permissions().mode() & 0o777;
        let wanted = if found.is_dir() { 0o777 } else { mode | 0o666 };
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(wanted))?;
        if found.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                left.push(entry?.path());
            }
        }
    }
    Ok(())
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unusable(why) => (StatusCode::BAD_REQUEST, why),
            Failure::Unreachable(why) => (StatusCode::INTERNAL_SERVER_ERROR, why),
        }
    }
}

fn broken(error: &dyn std::fmt::Display) -> Refused {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body)
        .map_err(|error| (StatusCode::BAD_REQUEST, format!("the request cannot be read: {error}")))
}

async fn fetch(State(service): State<FetchService>, body: Bytes) -> Result<(), Refused> {
    let request: FetchRequest = read(&body)?;
    let outcome = service.fetch(&request).await;
    if let Err((status, why)) = &outcome {
        tracing::warn!(status = status.as_u16(), why, file = request.filename, "not fetched");
    }
    outcome
}

async fn upload(State(service): State<FetchService>, body: Bytes) -> Result<Response, Refused> {
    let request: UploadRequest = read(&body)?;
    let outcome = service.upload(&request).await;
    if let Err((status, why)) = &outcome {
        tracing::warn!(status = status.as_u16(), why, file = request.filename, "not stored");
    }
    outcome.map(|uploaded| Json(uploaded).into_response())
}

#[cfg(test)]
#[path = "fetch_service_tests.rs"]
mod tests;
