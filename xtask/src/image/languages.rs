//! What each language needs besides its environment's own files: the runtime of this machine, without what only people
//! use.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use fission_environments::Runtime;

use super::contents::Contents;
use super::host::{CERTIFICATES, output, program, put_shell};
use super::{environment, python};

/// What an image is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Runtime,
    Builder,
}

/// Variables an image is given.
pub(super) type Variables = Vec<(String, String)>;

/// Puts the runtime of an environment in, under the names its Dockerfiles and its `build` use.
pub(super) fn put(contents: &mut Contents, name: &str, runtime: &Runtime, used: Use) -> Result<Variables> {
    let executable = || runtime.argv.first().map(Path::new).context("the environment starts nothing");
    match name {
        "nodejs" => return node(contents, executable()?, used),
        "python" | "python-fastapi" => return python::put(contents, executable()?, used),
        "go" => go(contents),
        "php" => php(contents, executable()?, used),
        "ruby" => ruby(contents, executable()?),
        "perl" => perl(contents, executable()?, used),
        "jvm" => jvm(contents, used),
        "dotnet" => dotnet(contents, executable()?),
        "rust" => rust(contents, runtime, used),
        "binary" => put_shell(contents),
        _ => {
            bail!("what the environment {name} needs in an image is not known; say it in xtask/src/image/languages.rs")
        }
    }?;
    Ok(Variables::new())
}

fn node(contents: &mut Contents, node: &Path, used: Use) -> Result<Variables> {
    contents.host_file(node, "usr/local/bin/node")?;
    if used == Use::Runtime {
        return Ok(Variables::new());
    }
    let npm = program("npm", "it comes with Node.js")?.canonicalize()?;
    let folder = npm.ancestors().find(|folder| folder.ends_with("node_modules/npm"));
    let folder = folder.with_context(|| format!("{} is not in a folder of npm's", npm.display()))?;
    ensure!(folder.join("node_modules").is_dir(), "the npm in {} is not whole", folder.display());
    let unread = |path: &str| ["docs", "man"].contains(&path);
    contents.host_folder(folder, "usr/local/lib/node_modules/npm", &|path| !unread(path))?;
    for name in ["npm", "npx"] {
        contents.link(&format!("usr/local/bin/{name}"), &format!("../lib/node_modules/npm/bin/{name}-cli.js"))?;
    }
    // Packages with native parts are compiled against these.
    let headers = node.parent().and_then(Path::parent).map(|prefix| prefix.join("include/node"));
    if let Some(headers) = headers.filter(|headers| headers.is_dir()) {
        contents.host_folder(&headers, "usr/local/include/node", &|path| !path.starts_with("openssl"))?;
    }
    // Node brings certificates of its own, which know no registry within a company.
    Ok(vec![("NODE_EXTRA_CA_CERTS".to_owned(), format!("/{CERTIFICATES}"))])
}

/// The compiler stays where it is: what it compiled before knows it by its place.
fn go(contents: &mut Contents) -> Result<()> {
    let go = program("go", "install Go")?;
    let root = output(&go, &["env", "GOROOT"])?;
    let root = root.trim();
    let unread = |path: &str| {
        ["api", "doc", "misc", "test", "pkg/obj"].contains(&path)
            || path.ends_with("_test.go")
            || path.ends_with("/testdata")
    };
    contents.host_folder(Path::new(root), root, &|path| !unread(path))?;
    contents.link("usr/local/bin/go", &format!("{root}/bin/go"))
}

/// One a line: files and folders of settings and extensions.
const PHP: &str = "foreach ([php_ini_loaded_file(), PHP_CONFIG_FILE_SCAN_DIR, ini_get('extension_dir')] as $path) {
    if ($path) { echo $path, PHP_EOL; }
}";

fn php(contents: &mut Contents, php: &Path, used: Use) -> Result<()> {
    contents.host_file(php, "usr/local/bin/php")?;
    put_all(contents, &output(php, &["-r", PHP])?)?;
    if used == Use::Builder {
        match program("composer", "") {
            Ok(composer) => {
                // It looks for its parts from where it lies.
                contents.host_file(&composer, &composer.to_string_lossy())?;
                contents.link("usr/bin/php", "../local/bin/php")?;
                put_all(contents, "/usr/share/php\n/usr/share/composer\n")?;
            }
            Err(_) => super::note("no composer on this machine: the builder installs no packages (Debian: composer)"),
        }
    }
    Ok(())
}

/// One a line: where Ruby, the gems of the system and their extensions are.
const RUBY: &str = "folders = $LOAD_PATH + Gem.default_path - [Gem.user_dir]
puts folders.select { |folder| File.directory?(folder) }";

fn ruby(contents: &mut Contents, ruby: &Path) -> Result<()> {
    contents.host_file(ruby, "usr/local/bin/ruby")?;
    put_all(contents, &output(ruby, &["-e", RUBY])?)
}

/// The compiler stays where it is, with cargo and the linker.
fn rust(contents: &mut Contents, runtime: &Runtime, used: Use) -> Result<()> {
    let rustc = runtime.argv.last().map(Path::new).context("the environment has no compiler")?;
    let root = rustc.ancestors().nth(2).context("the compiler is in no folder")?;
    let own = format!("lib/rustlib/{}-unknown-linux-gnu", std::env::consts::ARCH);
    let unread = |path: &str| {
        path == "share" || (path.starts_with("lib/rustlib/") && path.matches('/').count() == 2 && path != own)
    };
    contents.host_folder(root, &root.to_string_lossy(), &|path| !unread(path))?;
    for name in ["rustc", "cargo"] {
        contents.link(&format!("usr/local/bin/{name}"), &root.join("bin").join(name).to_string_lossy())?;
    }
    if used == Use::Builder {
        // Not every busybox has it.
        let flock = program("flock", "install it (Debian: apt-get install -y util-linux)")?;
        contents.host_file(&flock, "usr/bin/flock")?;
    }
    put_shell(contents)?;
    linker(contents)
}

/// What the linker reads of the C library, by the names the C compiler finds it by.
const LINKED: [&str; 14] = [
    "Scrt1.o",
    "crt1.o",
    "crti.o",
    "crtn.o",
    "libc.so",
    "libc_nonshared.a",
    "libm.so",
    "libm.so.6",
    "libmvec.so.1",
    "libdl.a",
    "libpthread.a",
    "librt.a",
    "libutil.a",
    "libgcc_s.so.1",
];

fn linker(contents: &mut Contents) -> Result<()> {
    let cc = program("cc", "install it (Debian: apt-get install -y gcc libc6-dev)")?;
    contents.host_file(&cc, "usr/bin/cc")?;
    contents.host_file(&program("ld", "install it (Debian: apt-get install -y binutils)")?, "usr/bin/ld")?;
    let own = output(&cc, &["-print-libgcc-file-name"])?;
    let own = Path::new(own.trim()).parent().context("the C compiler has no folder")?;
    // The compilers of languages are not needed to link.
    let unread = |path: &str| ["cc1", "cc1plus", "lto1", "include", "plugin"].contains(&path);
    contents.host_folder(own, &own.to_string_lossy(), &|path| !unread(path))?;
    for name in LINKED {
        let found = output(&cc, &[&format!("-print-file-name={name}")])?;
        // One that is not there comes back as it is.
        if let Ok(real) = Path::new(found.trim()).canonicalize() {
            let folder = real.parent().map(|folder| folder.join(name));
            contents.host_file(&real, &folder.unwrap_or_else(|| real.clone()).to_string_lossy())?;
        }
    }
    Ok(())
}

/// One a line: where Perl's own modules and those of the system are.
const PERL: &str = r"print map { qq($_\n) } grep { -d } @INC";

fn perl(contents: &mut Contents, perl: &Path, used: Use) -> Result<()> {
    contents.host_file(perl, "usr/local/bin/perl")?;
    // Scripts name it by its place.
    contents.link("usr/bin/perl", "../local/bin/perl")?;
    put_all(contents, &output(perl, &["-e", PERL])?)?;
    if used == Use::Builder {
        match program("cpanm", "") {
            Ok(cpanm) => {
                contents.host_file(&cpanm, "usr/local/bin/cpanm")?;
                let make = program("make", "modules are installed with it (Debian: apt-get install -y make)")?;
                contents.host_file(&make, "usr/bin/make")?;
            }
            Err(_) => super::note("no cpanm on this machine: the builder installs no modules (Debian: cpanminus)"),
        }
    }
    Ok(())
}

/// The JDK stays where it is: the archive of classes is of this one. The start is a script.
fn jvm(contents: &mut Contents, used: Use) -> Result<()> {
    let java = program("java", "install a JDK")?.canonicalize()?;
    let home = java.ancestors().nth(2).context("java is in no JDK")?;
    let settings = home.join("conf/net.properties").canonicalize()?;
    let settings = settings.parent().context("the JDK has no settings")?;
    let paths = [home, settings, Path::new("/etc/ssl/certs/java")].map(|path| path.display().to_string());
    put_all(contents, &paths.join("\n"))?;
    contents.link("usr/local/bin/java", &java.to_string_lossy())?;
    if used == Use::Builder {
        match program("mvn", "") {
            Ok(mvn) => {
                let mvn = mvn.canonicalize()?;
                let folder = mvn.ancestors().nth(2).context("mvn is in no folder")?;
                // A distribution keeps its jars and settings apart.
                put_all(contents, &format!("{}\n/usr/share/java\n/etc/maven", folder.display()))?;
                contents.link("usr/local/bin/mvn", &mvn.to_string_lossy())?;
            }
            Err(_) => super::note("no mvn on this machine: the builder builds no pom.xml (Debian: maven)"),
        }
    }
    put_shell(contents)
}

/// Puts files and folders at the paths they have here; those that are not there are left out.
fn put_all(contents: &mut Contents, paths: &str) -> Result<()> {
    let mut put: Vec<PathBuf> = Vec::new();
    for path in paths.lines().map(Path::new) {
        let text = path.to_string_lossy();
        if put.iter().any(|other| path.starts_with(other)) {
            continue;
        }
        if path.is_dir() {
            contents.host_folder(path, &text, &|_| true)?;
        } else if path.is_file() {
            contents.host_file(path, &text)?;
        }
        put.push(path.to_owned());
    }
    Ok(())
}

fn dotnet(contents: &mut Contents, dotnet: &Path) -> Result<()> {
    // The one that came with the environment is in its folder.
    if let Some(inside) = environment::place_of(dotnet)? {
        return contents.link("usr/local/bin/dotnet", &inside);
    }
    let real = dotnet.canonicalize()?;
    let folder = real.parent().context("dotnet is in no folder")?;
    contents.host_folder(folder, "usr/share/dotnet", &|_| true)?;
    contents.link("usr/local/bin/dotnet", "../../share/dotnet/dotnet")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perl_is_asked_for_folders_with_its_own_modules() {
        let perl = program("perl", "the tests ask it where its modules are").unwrap();
        let folders = output(&perl, &["-e", PERL]).unwrap();
        assert!(folders.lines().all(|folder| Path::new(folder).is_dir()), "{folders}");
        assert!(folders.lines().any(|folder| Path::new(folder).join("strict.pm").is_file()), "{folders}");
    }

    #[test]
    fn what_the_scripts_of_the_c_library_name_is_there_for_the_linker() {
        let cc = program("cc", "the tests ask it where the C library is").unwrap();
        for script in ["libc.so", "libm.so"] {
            let path = output(&cc, &[&format!("-print-file-name={script}")]).unwrap();
            // Not a script where it is the library itself.
            let Ok(text) = std::fs::read_to_string(path.trim()) else { continue };
            let named = text.split_whitespace().filter(|word| word.starts_with('/') && word.contains(".so"));
            for library in named.filter_map(|path| Path::new(path).file_name()?.to_str()) {
                // Those two every program needs, and so every image has.
                let everywhere = library == "libc.so.6" || library.starts_with("ld-linux");
                assert!(everywhere || LINKED.contains(&library), "{script} names {library}");
            }
        }
    }
}
