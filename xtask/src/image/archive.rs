//! The file an image is written to: an archive as `docker save` makes them, which Docker and containerd load.
//!
//! Layer, configuration, manifest, in this order, so that the file is written in one go: the layer's size is known
//! before, its digest after.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use aws_lc_rs::digest;
use serde_json::{Value, json};

use super::contents::{Contents, Entry, Source, header};
use super::tar::{self, Header};

const LAYER: &str = "layer.tar";
/// Bytes buffered: layers are large.
const BUFFER: usize = 1 << 20;

/// How a container of the image runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) user: String,
    pub(super) entrypoint: Vec<String>,
    pub(super) command: Vec<String>,
    /// `NAME=value`, in order.
    pub(super) variables: Vec<String>,
    /// TCP ports.
    pub(super) ports: Vec<u16>,
    pub(super) folder: String,
}

/// An image that can be written.
#[derive(Debug)]
pub(super) struct Image {
    /// `fission/node-env:latest`.
    pub(super) reference: String,
    pub(super) settings: Settings,
    pub(super) contents: Contents,
}

/// Writes the archive of an image. It is there whole, or as it was before.
pub(super) fn write(image: &Image, path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let unfinished = path.with_extension("tar.part");
    let written = File::create(&unfinished).map_err(anyhow::Error::from).and_then(|file| {
        let mut out = BufWriter::with_capacity(BUFFER, file);
        write_to(image, &mut out)?;
        Ok(out.flush()?)
    });
    written.with_context(|| format!("cannot write {}", unfinished.display()))?;
    fs::rename(&unfinished, path).with_context(|| format!("cannot write {}", path.display()))
}

fn write_to(image: &Image, out: &mut impl Write) -> Result<()> {
    let layer = write_layer(&image.contents, out)?;
    let configuration = serde_json::to_vec(&configuration(&image.settings, &layer))?;
    let name = format!("{}.json", hex(digest::digest(&digest::SHA256, &configuration).as_ref()));
    let manifest = json!([{ "Config": name, "RepoTags": [image.reference], "Layers": [LAYER] }]);
    let manifest = serde_json::to_vec(&manifest)?;
    tar::write(out, Header::file(&name, configuration.len() as u64), &mut configuration.as_slice())?;
    tar::write(out, Header::file("manifest.json", manifest.len() as u64), &mut manifest.as_slice())?;
    Ok(tar::finish(out)?)
}

/// Writes the layer as an entry of the archive and gives its digest.
fn write_layer(contents: &Contents, out: &mut impl Write) -> Result<String> {
    let size = tar::bytes(contents.entries().map(|(path, entry)| header(path, entry)));
    tar::write_header(out, Header::file(LAYER, size))?;
    let mut layer = Hashing { out, context: digest::Context::new(&digest::SHA256), written: 0 };
    for (path, entry) in contents.entries() {
        let mut content: Box<dyn Read> = match entry {
            Entry::File { source: Source::Bytes(bytes), .. } => Box::new(bytes.as_slice()),
            Entry::File { source: Source::Host(host), .. } => {
                let file = File::open(host).with_context(|| format!("cannot open {}", host.display()))?;
                Box::new(BufReader::with_capacity(BUFFER, file))
            }
            Entry::Folder { .. } | Entry::Link { .. } => Box::new(io::empty()),
        };
        tar::write(&mut layer, header(path, entry), &mut content)?;
    }
    tar::finish(&mut layer)?;
    ensure!(layer.written == size, "the layer has {} bytes, not {size}", layer.written);
    let digest = hex(layer.context.finish().as_ref());
    tar::pad(out, size)?;
    Ok(digest)
}

fn configuration(settings: &Settings, layer: &str) -> Value {
    let ports: serde_json::Map<String, Value> =
        settings.ports.iter().map(|port| (format!("{port}/tcp"), json!({}))).collect();
    json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        // A time would make each an image of its own.
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "User": settings.user,
            "Entrypoint": settings.entrypoint,
            "Cmd": settings.command,
            "Env": settings.variables,
            "ExposedPorts": ports,
            "WorkingDir": settings.folder,
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer}")] },
        "history": [{ "created": "1970-01-01T00:00:00Z", "created_by": "cargo xtask image" }],
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Passes bytes on and computes their digest.
struct Hashing<'a, W> {
    out: &'a mut W,
    context: digest::Context,
    written: u64,
}

impl<W: Write> Write for Hashing<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.out.write(bytes)?;
        self.context.update(&bytes[..taken]);
        self.written += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(order: &[&str]) -> Image {
        let mut contents = Contents::default();
        contents.folder("tmp", 0o1777).expect("a folder");
        for path in order {
            contents.text(path, path).expect("a path within");
        }
        contents.link(&"long/".repeat(30), "b").expect("a link");
        let settings = Settings { user: "65532:0".to_owned(), ports: vec![8888], ..Settings::default() };
        Image { reference: "fission/x:dev".to_owned(), settings, contents }
    }

    fn archive(image: &Image) -> Vec<u8> {
        let mut out = Vec::new();
        write_to(image, &mut out).expect("a vector takes everything");
        out
    }

    /// Name and content of every entry of an archive of short names.
    fn entries(archive: &[u8]) -> Vec<(String, &[u8])> {
        let (mut at, mut found) = (0, Vec::new());
        while archive[at] != 0 {
            let text = |from: usize, to: usize| {
                String::from_utf8_lossy(&archive[at + from..at + to]).trim_end_matches('\0').to_owned()
            };
            let size = usize::from_str_radix(&text(124, 135), 8).expect("a size in octal");
            found.push((text(0, 100), &archive[at + 512..at + 512 + size]));
            at += 512 + size.div_ceil(512) * 512;
        }
        found
    }

    #[test]
    fn the_same_contents_make_the_same_bytes_in_whatever_order_they_came() {
        assert_eq!(archive(&image(&["a", "b/c"])), archive(&image(&["b/c", "a"])));
        assert_ne!(archive(&image(&["a"])), archive(&image(&["b"])));
    }

    #[test]
    fn the_manifest_names_what_is_there_by_its_digest() {
        let archive = archive(&image(&["a", "b/c"]));
        let entries = entries(&archive);
        let names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
        let sha256 = |bytes: &[u8]| hex(digest::digest(&digest::SHA256, bytes).as_ref());
        let config_name = format!("{}.json", sha256(entries[1].1));
        assert_eq!(names, [LAYER, &config_name, "manifest.json"]);
        let config: Value = serde_json::from_slice(entries[1].1).expect("the configuration is JSON");
        assert_eq!(config["rootfs"]["diff_ids"], json!([format!("sha256:{}", sha256(entries[0].1))]));
        assert_eq!(config["config"]["ExposedPorts"], json!({ "8888/tcp": {} }));
        let manifest: Value = serde_json::from_slice(entries[2].1).expect("the manifest is JSON");
        assert_eq!(manifest, json!([{ "Config": config_name, "RepoTags": ["fission/x:dev"], "Layers": [LAYER] }]));
    }

    #[test]
    fn a_file_that_changes_meanwhile_leaves_no_archive() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (host, out) = (folder.path().join("host"), folder.path().join("x.tar"));
        fs::write(&host, "abc").expect("a file can be written");
        let mut image = image(&[]);
        image.contents.host_file(&host, "a").expect("the file can be read");
        fs::write(&host, "abcd").expect("a file can be written");
        assert!(write(&image, &out).is_err() && !out.exists());
    }
}
