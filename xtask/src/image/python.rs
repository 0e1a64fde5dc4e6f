//! The Python of this machine: executable, standard library and that library compiled, so that nothing is compiled when a
//! container starts.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::contents::Contents;
use super::host::{CERTIFICATES, output};
use super::languages::{Use, Variables};

/// Parts of the standard library that no function uses.
const UNUSED: &[&str] =
    &["__pycache__", "dist-packages", "idlelib", "lib2to3", "site-packages", "test", "tests", "tkinter", "turtledemo"];
/// Extensions that belong to them.
const UNUSED_EXTENSIONS: &[&str] = &["_ctypes_test", "_test", "_tkinter", "_xxtest", "xxlimited"];
const PROBE: &str = "import json, os, sysconfig
try: import pip; pip = os.path.dirname(pip.__file__)
except ImportError: pip = None
import sys
print(json.dumps({'library': sysconfig.get_path('stdlib'), 'version': '%d.%d' % sys.version_info[:2],
  'whole': sys.version.split()[0], 'tag': sys.implementation.cache_tag, 'pip': pip}))";

/// Puts Python in, as `python` and `python3`.
pub(super) fn put(contents: &mut Contents, python: &Path, used: Use) -> Result<Variables> {
    let probe: Value = serde_json::from_str(&output(python, &["-I", "-c", PROBE])?)?;
    let text = |name: &str| probe[name].as_str().with_context(|| format!("Python does not say its {name}"));
    let (version, tag) = (text("version")?, text("tag")?);
    contents.host_file(python, &format!("usr/local/bin/python{version}"))?;
    for name in ["python", "python3"] {
        contents.link(&format!("usr/local/bin/{name}"), &format!("python{version}"))?;
    }
    let library = Path::new(text("library")?).canonicalize()?;
    let place = format!("usr/local/lib/python{version}");
    contents.host_folder(&library, &place, &|path| is_used(path, used))?;
    put_compiled(contents, python, &library, &place, text("whole")?, tag)?;
    if used == Use::Builder {
        if let Ok(pip) = text("pip") {
            contents.host_folder(Path::new(pip), &format!("{place}/site-packages/pip"), &|path| {
                !path.ends_with("__pycache__")
            })?;
        }
        // pip brings certificates of its own, which know no registry within a company.
        return Ok(vec![("PIP_CERT".to_owned(), format!("/{CERTIFICATES}"))]);
    }
    Ok(vec![("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned())])
}

fn is_used(path: &str, used: Use) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let unused = UNUSED.contains(&name)
        || name.starts_with("config-")
        || (name == "ensurepip" && used == Use::Runtime)
        || (path.contains("lib-dynload/") && UNUSED_EXTENSIONS.iter().any(|prefix| name.starts_with(prefix)));
    !unused
}

/// Compiles into a folder of our own, since the library's is not ours to write, and puts the results beside the sources.
fn put_compiled(
    contents: &mut Contents,
    python: &Path,
    library: &Path,
    place: &str,
    version: &str,
    tag: &str,
) -> Result<()> {
    let cache = super::cache()?.join(format!("python-{version}"));
    let below = |folder: &Path| cache.join(folder.strip_prefix("/").unwrap_or(folder));
    let done = Command::new(python)
        .arg("-X")
        .arg(format!("pycache_prefix={}", cache.display()))
        .args(["-I", "-m", "compileall", "-q", "-x", "/(test|tests|lib2to3|idlelib|site-packages|dist-packages)/"])
        .arg("-s")
        .arg(library)
        .args(["-p", &format!("/{place}")])
        .arg(library)
        .output()
        .context("cannot run Python")?;
    if !done.status.success() {
        super::note(&format!("not all of Python's library compiles: {}", String::from_utf8_lossy(&done.stdout).trim()));
    }
    let prefix = format!("{place}/");
    let sources = contents.entries().filter_map(|(path, _)| path.strip_prefix(&prefix)?.strip_suffix(".py"));
    let sources: Vec<String> = sources.map(str::to_owned).collect();
    for source in sources {
        let compiled: PathBuf = below(library).join(format!("{source}.{tag}.pyc"));
        if compiled.is_file() {
            let (folder, name) = source.rsplit_once('/').map_or(("", source.as_str()), |(folder, name)| (folder, name));
            contents.host_file(&compiled, &format!("{place}/{folder}/__pycache__/{name}.{tag}.pyc"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_functions_do_not_use_is_left_out() {
        for path in
            ["test", "unittest/test", "os/__pycache__", "config-3.11-x86_64", "lib-dynload/_tkinter.so", "ensurepip"]
        {
            assert!(!is_used(path, Use::Runtime), "{path}");
        }
        for path in ["os.py", "unittest/case.py", "lib-dynload/_ssl.so", "contest"] {
            assert!(is_used(path, Use::Runtime), "{path}");
        }
        assert!(is_used("ensurepip", Use::Builder));
    }
}
