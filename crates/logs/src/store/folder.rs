//! The segments of a folder: which there are, which may hold what is asked for, which must go.
//!
//! A segment is named `<first id>-<time of its first line>.db`, so what a segment covers is known from the names alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fission_rpc::logs::{LogLine, LogQuery};
use jiff::{SignedDuration, Timestamp};

use super::segment::{self, Order, is_damage};

/// Lines are queued by many tasks at once, so a later segment may begin with lines this much older than the last ones
/// of the one before.
const OUT_OF_ORDER: SignedDuration = SignedDuration::from_secs(60);
/// Ids skipped after a damaged segment; more than any segment holds.
const IDS_SKIPPED: i64 = 1 << 32;
/// Ending of segments that were set aside.
const DAMAGED: &str = "damaged";

/// A segment by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) path: PathBuf,
    pub(super) first_id: i64,
    pub(super) begun: Timestamp,
}

#[derive(Debug)]
pub(super) struct Folder {
    dir: PathBuf,
    /// Oldest first.
    segments: Mutex<Vec<Named>>,
    last_id: i64,
}

impl Folder {
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let mut segments = Vec::new();
        for file in fs::read_dir(dir)? {
            segments.extend(named(&file?.path()));
        }
        segments.sort_by_key(|segment| segment.first_id);
        let mut folder = Self { dir: dir.to_owned(), segments: Mutex::new(segments), last_id: 0 };
        folder.last_id = folder.find_last_id();
        Ok(folder)
    }

    /// Id of the newest line when the folder was opened.
    pub(super) fn last_id(&self) -> i64 {
        self.last_id
    }

    fn find_last_id(&self) -> i64 {
        let mut least = 0;
        while let Some(newest) = self.newest_segment() {
            match segment::newest_id(&newest.path) {
                Ok(id) => return id.max(newest.first_id - 1).max(least),
                Err(error) => {
                    self.set_aside(&newest, &error);
                    least = least.max(newest.first_id + IDS_SKIPPED);
                }
            }
        }
        least
    }

    pub(super) fn newest_segment(&self) -> Option<Named> {
        self.lock().last().cloned()
    }

    /// Names a segment that begins with this line. The file is made by whoever opens it.
    pub(super) fn begin(&self, first_id: i64, begun: Timestamp) -> Named {
        let path = self.dir.join(format!("{first_id:020}-{:020}.db", begun.as_microsecond().max(0)));
        let segment = Named { path, first_id, begun };
        self.lock().push(segment.clone());
        segment
    }

    /// Up to `limit` newest lines, oldest first.
    pub(super) fn newest(&self, query: &LogQuery, limit: usize, bytes: usize) -> rusqlite::Result<Vec<LogLine>> {
        let (mut found, mut room) = (Vec::new(), bytes);
        let mut later: Option<Named> = None;
        for segment in self.snapshot().into_iter().rev() {
            // All of this segment is older than the one read before it.
            let too_old = later.as_ref().is_some_and(|later| {
                let by_time = query.since.is_some_and(|since| later.begun + OUT_OF_ORDER < since);
                by_time || query.after.is_some_and(|after| later.first_id <= after.saturating_add(1))
            });
            if too_old || found.len() >= limit || room == 0 {
                break;
            }
            let left = limit - found.len();
            self.read(&segment, query, Order::NewestFirst, left, &mut room, &mut found)?;
            later = Some(segment);
        }
        found.reverse();
        Ok(found)
    }

    /// Up to `limit` oldest lines, oldest first.
    pub(super) fn oldest(&self, query: &LogQuery, limit: usize) -> rusqlite::Result<Vec<LogLine>> {
        let (mut found, mut room) = (Vec::new(), usize::MAX);
        let segments = self.snapshot();
        let after = query.after.unwrap_or_default();
        // The last segment that begins at or before the next id, and all later ones.
        let start = segments.iter().rposition(|segment| segment.first_id <= after.saturating_add(1)).unwrap_or(0);
        for segment in &segments[start..] {
            if found.len() >= limit {
                break;
            }
            let left = limit - found.len();
            self.read(segment, query, Order::OldestFirst, left, &mut room, &mut found)?;
        }
        Ok(found)
    }

    fn read(
        &self,
        segment: &Named,
        query: &LogQuery,
        order: Order,
        limit: usize,
        room: &mut usize,
        found: &mut Vec<LogLine>,
    ) -> rusqlite::Result<()> {
        match segment::read(&segment.path, query, order, limit, room, found) {
            Err(error) if is_damage(&error) => {
                self.set_aside(segment, &error);
                Ok(())
            }
            // Removed for its age while it was about to be read, or named and not made yet.
            Err(_) if !segment.path.exists() => Ok(()),
            Err(error) if is_without_tables(&error) => Ok(()),
            result => result,
        }
    }

    /// Takes a damaged segment out of use. Its file stays for whoever wants to look, within the limits.
    pub(super) fn set_aside(&self, segment: &Named, error: &rusqlite::Error) {
        self.forget(segment);
        let aside = segment.path.with_extension(DAMAGED);
        tracing::error!(file = %aside.display(), %error, "a segment of the function logs is damaged and was set aside");
        if let Err(error) = fs::rename(&segment.path, &aside) {
            tracing::warn!(file = %segment.path.display(), %error, "the damaged segment could not be renamed");
        }
        remove_journals(&segment.path);
    }

    /// Removes the oldest files until all limits are kept. The newest segment always stays.
    pub(super) fn keep_within(&self, max_bytes: u64, max_age: Duration, now: Timestamp) {
        let oldest_kept = now.saturating_sub(SignedDuration::try_from(max_age).unwrap_or(SignedDuration::MAX));
        let oldest_kept = oldest_kept.unwrap_or(Timestamp::MIN);
        for aside in self.files().into_iter().filter(|file| file.extension().is_some_and(|it| it == DAMAGED)) {
            let begun = named(&aside.with_extension("db")).map(|segment| segment.begun);
            if begun.is_none_or(|begun| begun < oldest_kept) {
                remove(&aside);
            }
        }
        let mut total = self.bytes();
        let segments = self.snapshot();
        for pair in segments.windows(2) {
            // A segment ends where the next begins.
            if total <= max_bytes && pair[1].begun >= oldest_kept {
                break;
            }
            total = total.saturating_sub(size(&pair[0].path));
            self.forget(&pair[0]);
            remove(&pair[0].path);
            remove_journals(&pair[0].path);
        }
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.files().iter().filter_map(|file| fs::metadata(file).ok()).map(|meta| meta.len()).sum()
    }

    fn files(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(&self.dir).into_iter().flatten();
        files.filter_map(Result::ok).map(|file| file.path()).collect()
    }

    fn snapshot(&self) -> Vec<Named> {
        self.lock().clone()
    }

    fn forget(&self, segment: &Named) {
        self.lock().retain(|other| other.path != segment.path);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Named>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of a segment on disk, its journal included.
pub(super) fn size(segment: &Path) -> u64 {
    [segment.to_owned(), with_suffix(segment, "-wal")]
        .iter()
        .filter_map(|file| fs::metadata(file).ok())
        .map(|meta| meta.len())
        .sum()
}

fn named(path: &Path) -> Option<Named> {
    let name = path.file_name()?.to_str()?.strip_suffix(".db")?;
    let (first_id, begun) = name.split_once('-')?;
    let begun = Timestamp::from_microsecond(begun.parse().ok()?).ok()?;
    Some(Named { path: path.to_owned(), first_id: first_id.parse().ok()?, begun })
}

fn is_without_tables(error: &rusqlite::Error) -> bool {
    matches!(error, rusqlite::Error::SqliteFailure(_, Some(why)) if why.starts_with("no such table"))
}

fn remove_journals(segment: &Path) {
    remove(&with_suffix(segment, "-wal"));
    remove(&with_suffix(segment, "-shm"));
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(file = %path.display(), %error, "an old file of the function logs could not be removed");
        }
        _ => {}
    }
}
