//! The platform that runs on this machine: written by the binary as `DIR/status.json`, read by commands.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::env::Variables;

/// Name of the file below the data folder.
pub const STATUS_FILE: &str = "status.json";
/// Name of the kubeconfig below the data folder.
pub const KUBECONFIG_FILE: &str = "kubeconfig";
/// Name of the file with the secret internal requests are signed with.
pub const SECRET_FILE: &str = "internal-secret";

/// Where a platform on this machine can be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Running {
    /// Address of the API server, such as `http://127.0.0.1:31313`.
    pub api: String,
    /// Address of the router's public listener.
    pub router: String,
    /// Address of the router's internal listener.
    #[serde(default)]
    pub internal: String,
    /// Its process.
    pub pid: u32,
    /// When that process started, in clock ticks since boot; tells it from a later process with the same id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_start: Option<u64>,
    /// When it became ready.
    pub started: Timestamp,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// The folder that holds everything it keeps.
    #[serde(default)]
    pub data_dir: PathBuf,
}

/// Why the status of a platform could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RunningError {
    /// The file could not be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: std::io::Error,
    },
    /// The file is not what a platform writes.
    #[error("{path} is damaged ({why}); it is written again when `fission up` starts", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file could not be written.
    #[error("cannot write {path}: {source}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: std::io::Error,
    },
}

impl Running {
    /// Reads `DIR/status.json`; `None` when there is none.
    ///
    /// # Errors
    /// When the file is there but cannot be read or understood.
    pub fn read(data_dir: &Path) -> Result<Option<Self>, RunningError> {
        let path = data_dir.join(STATUS_FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(RunningError::Read { path, source }),
        };
        let mut running: Self = serde_json::from_slice(&text)
            .map_err(|error| RunningError::Damaged { path: path.clone(), why: error.to_string() })?;
        // Where it was found counts: the platform may see its folder under another path, as in a container.
        running.data_dir = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned());
        Ok(Some(running))
    }

    /// Writes `DIR/status.json`, for its owner only, completely or not at all.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn write(&self, data_dir: &Path) -> Result<(), RunningError> {
        let path = data_dir.join(STATUS_FILE);
        let partial = data_dir.join("status.json.partial");
        let written = (|| {
            let _ = fs::remove_file(&partial);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            fs::rename(&partial, &path)
        })();
        written.map_err(|source| RunningError::Write { path, source })
    }

    /// Takes `DIR/status.json` away, as a platform does when it ends.
    ///
    /// # Errors
    /// When it is there but cannot be removed.
    pub fn remove(data_dir: &Path) -> Result<(), RunningError> {
        let path = data_dir.join(STATUS_FILE);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => Err(RunningError::Write { path, source }),
            _ => Ok(()),
        }
    }

    /// Whether its process still runs.
    pub fn is_alive(&self) -> bool {
        match (self.process_start, process_start(self.pid)) {
            (Some(written), Some(now)) => written == now,
            (None, Some(_)) => true,
            (_, None) => process_exists_without_proc(self.pid),
        }
    }

    /// The kubeconfig it wrote.
    pub fn kubeconfig(&self) -> PathBuf {
        self.data_dir.join(KUBECONFIG_FILE)
    }

    /// The line of exports that points commands, scripts and `kubectl` at it. `default_dir` is the data folder commands
    /// find by themselves.
    pub fn exports(&self, default_dir: &Path) -> String {
        let router = self.router.strip_prefix("http://").unwrap_or(&self.router);
        let kubeconfig = self.kubeconfig();
        let kubeconfig = shell_word(&kubeconfig.to_string_lossy());
        let mut line = format!("export FISSION_URL={} FISSION_ROUTER={router} KUBECONFIG={kubeconfig}", self.api);
        if self.data_dir != default_dir {
            line.push_str(&format!(" FISSION_DATA={}", shell_word(&self.data_dir.to_string_lossy())));
        }
        line
    }
}

/// `$FISSION_DATA`, else `$XDG_DATA_HOME/fission`, else `~/.local/share/fission`, else a folder below the temporary one.
pub fn default_data_dir(vars: &Variables) -> PathBuf {
    if let Some(dir) = vars.get("FISSION_DATA") {
        return PathBuf::from(dir);
    }
    match (vars.get("XDG_DATA_HOME"), vars.get("HOME")) {
        (Some(data), _) => Path::new(data).join("fission"),
        (None, Some(home)) => Path::new(home).join(".local/share/fission"),
        (None, None) => std::env::temp_dir().join("fission"),
    }
}

/// When a process started, in clock ticks since boot; `None` when it does not run or `/proc` is not there.
pub fn process_start(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in parentheses and may hold anything; field 22 is the 20th after it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None; // ended, only not yet collected by its parent
    }
    fields.nth(18)?.parse().ok()
}

fn process_exists_without_proc(pid: u32) -> bool {
    let has_proc = Path::new("/proc/self/stat").exists();
    !has_proc
        && i32::try_from(pid)
            .ok()
            .and_then(rustix::process::Pid::from_raw)
            .is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
}

fn shell_word(text: &str) -> String {
    if text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c)) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn running(data_dir: &Path) -> Running {
        Running {
            api: "http://127.0.0.1:31313".to_owned(),
            router: "http://127.0.0.1:31314".to_owned(),
            internal: "http://127.0.0.1:40000".to_owned(),
            pid: std::process::id(),
            process_start: process_start(std::process::id()),
            started: Timestamp::UNIX_EPOCH,
            version: "0.1.0".to_owned(),
            data_dir: data_dir.to_owned(),
        }
    }

    #[test]
    fn a_status_is_read_as_written_and_only_its_owner_can_read_it() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Running::read(dir.path()).unwrap(), None);
        let running = running(dir.path());
        running.write(dir.path()).unwrap();
        running.write(dir.path()).unwrap();
        assert_eq!(Running::read(dir.path()).unwrap(), Some(running));
        let mode = fs::metadata(dir.path().join(STATUS_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        Running::remove(dir.path()).unwrap();
        Running::remove(dir.path()).unwrap();
        assert_eq!(Running::read(dir.path()).unwrap(), None);
    }

    #[test]
    fn another_process_with_the_same_id_is_not_the_platform() {
        let mut running = running(Path::new("/data"));
        assert!(running.is_alive());
        running.process_start = Some(running.process_start.unwrap() + 1);
        assert!(!running.is_alive());
    }

    #[test]
    fn a_damaged_status_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(STATUS_FILE), "{").unwrap();
        assert!(Running::read(dir.path()).unwrap_err().to_string().contains("status.json is damaged"));
    }

    #[test]
    fn the_data_folder_follows_the_variables() {
        let dir = |pairs: &[(&str, &str)]| default_data_dir(&pairs.iter().copied().collect());
        assert_eq!(dir(&[("FISSION_DATA", "/d"), ("HOME", "/h")]), Path::new("/d"));
        assert_eq!(dir(&[("XDG_DATA_HOME", "/x"), ("HOME", "/h")]), Path::new("/x/fission"));
        assert_eq!(dir(&[("HOME", "/h")]), Path::new("/h/.local/share/fission"));
    }

    #[test]
    fn exports_name_the_data_folder_only_when_commands_would_not_find_it() {
        let running = running(Path::new("/my data"));
        let plain = "export FISSION_URL=http://127.0.0.1:31313 FISSION_ROUTER=127.0.0.1:31314 \
                     KUBECONFIG='/my data/kubeconfig'";
        assert_eq!(running.exports(Path::new("/my data")), plain);
        assert_eq!(running.exports(Path::new("/other")), format!("{plain} FISSION_DATA='/my data'"));
    }
}
