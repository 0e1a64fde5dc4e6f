//! Running a file that may not be executed where it lies.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, MemfdFlags, Mode, OFlags};

/// How a Linux program begins.
pub(crate) const ELF: &[u8] = b"\x7fELF";

/// File names shown to someone whose entry point is not there.
const SHOWN_FILES: usize = 20;

/// A file that can be executed.
#[derive(Debug)]
pub(crate) struct Executable {
    /// What is executed.
    pub(crate) path: PathBuf,
    /// A copy in memory, when the file itself may not be executed.
    _copy: Option<OwnedFd>,
}

impl Executable {
    /// One that can be executed as it is.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path, _copy: None }
    }

    /// A program, or an executable copy of it.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        if rustix::fs::access(path, Access::EXEC_OK).is_ok() {
            return Ok(Self::at(path.to_owned()));
        }
        // Code is read-only and often not executable; a copy in memory needs no place to write.
        let copy = rustix::fs::memfd_create("function", MemfdFlags::CLOEXEC)?;
        let mut writer = File::from(copy);
        io::copy(&mut File::open(path)?, &mut writer)?;
        writer.flush()?;
        // What is open for writing cannot be executed, so it is opened again to read.
        let link = format!("/proc/self/fd/{}", writer.as_raw_fd());
        let reader = rustix::fs::open(link, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let path = format!("/proc/self/fd/{}", reader.as_raw_fd()).into();
        Ok(Self { path, _copy: Some(reader) })
    }
}

/// Whether a name from outside names something inside a folder.
pub(crate) fn is_inside(name: &str) -> bool {
    !name.is_empty() && Path::new(name).components().all(|part| matches!(part, std::path::Component::Normal(_)))
}

/// Names of a folder for someone whose code is not there.
pub(crate) fn shown(folder: &Path) -> Result<String, String> {
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .map_err(|error| format!("{} cannot be read: {error}", folder.display()))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    files.sort();
    files.truncate(SHOWN_FILES);
    Ok(if files.is_empty() { "nothing".to_owned() } else { files.join(", ") })
}
