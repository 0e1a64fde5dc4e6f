//! From a package to the program that is run: which file it is, and compiling it where it is source.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::executable::{ELF, Executable, is_inside, shown};

/// Files that are the function where no entry point is named, best first. The first is Fission's name for it.
const DEFAULTS: [&str; 2] = ["handler", "main.rs"];

/// Bytes at the start of a file that tell source from what is not.
const SNIFFED_BYTES: u64 = 1024;

/// Bytes of what the compiler says that are shown.
const SHOWN_BYTES: usize = 64 << 10;

/// A folder to write to, gone when this is dropped.
pub(super) struct Work(PathBuf);

impl Work {
    pub(super) fn new() -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("function-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|error| format!("no place for the program: {error}"))?;
        Ok(Self(path))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // What is left is gone with the instance's own temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Finds the program, compiled first where it is source. The error is for the user.
pub(super) async fn program(path: &Path, entry: &str, compiler: &[String], work: &Work) -> Result<Executable, String> {
    let file = find(path, entry)?;
    let start = start_of(&file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    if start.starts_with(ELF) {
        return Executable::of(&file).map_err(|error| format!("{} cannot be run: {error}", file.display()));
    }
    if start.contains(&0) {
        return Err(format!("{} is neither a Linux program nor Rust source", file.display()));
    }
    compile(&file, compiler, work).await.map(Executable::at)
}

fn start_of(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut start = Vec::new();
    File::open(file)?.take(SNIFFED_BYTES).read_to_end(&mut start)?;
    Ok(start)
}

fn find(path: &Path, entry: &str) -> Result<PathBuf, String> {
    if !path.exists() {
        return Err(format!("there is no code at {}", path.display()));
    }
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let named = || [entry.to_owned(), format!("{entry}.rs")].into_iter().filter(|name| is_inside(name));
    let mut wanted: Vec<PathBuf> = match entry {
        "" => DEFAULTS.iter().map(|name| path.join(name)).collect(),
        _ => named().map(|name| path.join(name)).collect(),
    };
    wanted.retain(|file| file.is_file());
    if let Some(file) = wanted.into_iter().next() {
        return Ok(file);
    }
    if path.join("Cargo.toml").is_file() {
        return Err("the package is a Cargo project, which is compiled by the environment's builder: create it with \
                    --src instead of --code or --deploy"
            .to_owned());
    }
    if entry.is_empty()
        && let Some(file) = only_program(path)
    {
        return Ok(file);
    }
    let files = shown(path)?;
    Err(match entry {
        "" => format!("say with --entrypoint which program or source of the package is the function; it has {files}"),
        _ => format!("entry point: there is neither a program {entry} nor a {entry}.rs in the package; it has {files}"),
    })
}

/// The one program of a folder or, where there is none, its one source.
fn only_program(folder: &Path) -> Option<PathBuf> {
    let files: Vec<PathBuf> = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    let is_source = |file: &&PathBuf| file.extension().is_some_and(|ending| ending == "rs");
    let programs: Vec<&PathBuf> =
        files.iter().filter(|file| start_of(file).is_ok_and(|start| start.starts_with(ELF))).collect();
    let sources: Vec<&PathBuf> = files.iter().filter(is_source).collect();
    match (&programs[..], &sources[..]) {
        ([only], _) | ([], [only]) => Some((*only).clone()),
        _ => None,
    }
}

async fn compile(source: &Path, compiler: &[String], work: &Work) -> Result<PathBuf, String> {
    let Some((command, arguments)) = compiler.split_first() else {
        return Err(format!("{} is no program, and this container cannot compile: build it first", source.display()));
    };
    let target = work.0.join("program");
    let run = Command::new(command)
        .args(arguments)
        .args([source, &target])
        .env("TMPDIR", &work.0)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = run.await.map_err(|error| format!("the compiler cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(target);
    }
    let mut said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned();
    said.truncate(said.floor_char_boundary(SHOWN_BYTES));
    Err(format!("the code does not compile:\n{said}"))
}
