//! What is taken from this machine: programs, the shared libraries they need, and what every image has.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::contents::Contents;

/// Where the loader of these images looks for libraries without being told.
const LIBRARIES: &str =
    if cfg!(target_arch = "aarch64") { "usr/lib/aarch64-linux-gnu" } else { "usr/lib/x86_64-linux-gnu" };
/// Loaded by glibc when a thread ends, and by nothing's list of needs.
const UNWINDER: &str = "libgcc_s.so.1";
/// The authorities this machine trusts, and an image of it.
pub(super) const CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";
const LOCALE: &str = "usr/lib/locale/C.utf8";
const ZONES: &str = "usr/share/zoneinfo";
/// Files asked about at once.
const AT_ONCE: usize = 200;
const SHELL: &str = "usr/bin/busybox";

/// A program on the search path.
pub(super) fn program(name: &str, install: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&path).map(|folder| folder.join(name)).filter(|path| path.is_file());
    found.next().with_context(|| format!("{name} is not on this machine; {install}"))
}

/// What a program prints when all went well.
pub(super) fn output(program: impl AsRef<OsStr>, arguments: &[&str]) -> Result<String> {
    let name = program.as_ref().to_owned();
    let output = Command::new(&name).args(arguments).output();
    let output = output.with_context(|| format!("cannot run {}", name.display()))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} {} failed: {}", name.display(), arguments.join(" "), complaint.trim());
    String::from_utf8(output.stdout).with_context(|| format!("{} did not print text", name.display()))
}

/// Users, a place to write, certificates: what every image has, even one without a system.
pub(super) fn put_minimum(contents: &mut Contents) -> Result<()> {
    contents.folder("tmp", 0o1777)?;
    contents
        .text("etc/passwd", "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:0:nonroot:/tmp:/sbin/nologin\n")?;
    contents.text("etc/group", "root:x:0:\nnogroup:x:65534:\n")?;
    let certificates = Path::new("/").join(CERTIFICATES);
    if certificates.is_file() {
        contents.host_file(&certificates, CERTIFICATES)?;
    } else {
        super::note("no certificates of this machine (package ca-certificates): the image trusts no HTTPS server");
    }
    Ok(())
}

/// The folders and settings that programs linked to the system's libraries look for.
pub(super) fn put_system(contents: &mut Contents) -> Result<()> {
    for folder in ["bin", "sbin", "lib", "lib64"] {
        contents.folder(&format!("usr/{folder}"), 0o755)?;
        contents.link(folder, &format!("usr/{folder}"))?;
    }
    put_minimum(contents)?;
    contents.text("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")?;
    // Where OpenSSL looks.
    contents.link("usr/lib/ssl/certs", "/etc/ssl/certs")?;
    contents.link("usr/lib/ssl/cert.pem", "/etc/ssl/certs/ca-certificates.crt")?;
    // The one every program may ask for, whatever the machine's language.
    let locale = Path::new("/").join(LOCALE);
    if locale.is_dir() {
        contents.host_folder(&locale, LOCALE, &|_| true)?;
    }
    let zones = Path::new("/").join(ZONES);
    if zones.is_dir() {
        contents.host_folder(&zones, ZONES, &|path| !path.starts_with("posix") && !path.starts_with("right"))?;
    }
    Ok(())
}

/// A shell and the commands of a POSIX system, in one program.
pub(super) fn put_shell(contents: &mut Contents) -> Result<()> {
    let busybox = program("busybox", "install it static (Debian: apt-get install -y busybox-static)")?;
    ensure!(libraries(std::slice::from_ref(&busybox))?.is_empty(), "{} is not static", busybox.display());
    contents.host_file(&busybox, SHELL)?;
    for name in output(&busybox, &["--list"])?.lines() {
        if !contents.has(&format!("usr/bin/{name}")) {
            contents.link(&format!("usr/bin/{name}"), "busybox")?;
        }
    }
    Ok(())
}

/// Adds the shared libraries that the programs and libraries of an image need and it does not have.
pub(super) fn put_libraries(contents: &mut Contents) -> Result<()> {
    let have = contents.host_files();
    let programs: Vec<PathBuf> = have.iter().filter(|path| is_elf(path)).cloned().collect();
    let mut needed = libraries(&programs)?;
    let beside = |library: &PathBuf| Some(library.parent()?.join(UNWINDER)).filter(|path| path.is_file());
    let unwinder = needed.iter().find_map(beside);
    needed.extend(unwinder);
    for library in needed {
        let real = library.canonicalize().with_context(|| format!("cannot find {}", library.display()))?;
        if have.contains(&real) {
            continue;
        }
        let name = library.file_name().and_then(OsStr::to_str).context("a library's name is not UTF-8")?;
        // Programs name the loader by its whole path.
        if name.starts_with("ld-") {
            contents.host_file(&real, &library.to_string_lossy())?;
        }
        contents.host_file(&real, &format!("{LIBRARIES}/{name}"))?;
    }
    Ok(())
}

fn is_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"\x7fELF"
}

/// What the loader would load for these files, all of it.
fn libraries(files: &[PathBuf]) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for files in files.chunks(AT_ONCE) {
        // It fails when one of them is static, or for another machine: nothing is needed for those.
        let answer = Command::new("ldd").args(files).env("LC_ALL", "C").output().context("cannot run ldd")?;
        found.extend(String::from_utf8_lossy(&answer.stdout).lines().filter_map(library));
    }
    Ok(found)
}

/// The path in a line of ldd: `libc.so.6 => /lib/libc.so.6 (0x1)`, `/lib64/ld.so (0x1)`.
fn library(line: &str) -> Option<PathBuf> {
    let line = line.strip_prefix('\t')?;
    let path = line.split_once("=> ").map_or(line, |(_, path)| path);
    let path = path.split_once(" (").map_or(path, |(path, _)| path);
    path.starts_with('/').then(|| PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_ldd_are_understood() {
        let path = |line: &str| library(line).map(|path| path.to_string_lossy().into_owned());
        assert_eq!(path("\tlibc.so.6 => /lib/libc.so.6 (0x1)").as_deref(), Some("/lib/libc.so.6"));
        assert_eq!(path("\t/lib64/ld.so (0x1)").as_deref(), Some("/lib64/ld.so"));
        for line in ["\tlinux-vdso.so.1 (0x1)", "\tlibx.so => not found", "\tstatically linked", "/usr/bin/x:", ""] {
            assert_eq!(path(line), None, "{line}");
        }
    }
}
