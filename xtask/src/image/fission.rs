//! The image of the platform: our program and nothing to run beside it.

use anyhow::Result;

use super::archive::{Image, Settings};
use super::compile::Compiler;
use super::contents::Contents;
use super::host;

/// Makes the image. There is no shell and no library in it.
pub(super) fn image(compiler: &Compiler, reference: String) -> Result<Image> {
    let mut contents = Contents::default();
    host::put_minimum(&mut contents)?;
    contents.host_file(&compiler.program("fission")?, "fission")?;
    let settings = Settings {
        user: "65532:0".to_owned(),
        entrypoint: vec!["/fission".to_owned()],
        // The allocator asks for no huge pages; many machines (OpenShift's) give them to who does not ask.
        variables: ["HOME=/tmp", "PATH=/", "MIMALLOC_ALLOW_THP=0"].map(str::to_owned).to_vec(),
        folder: "/tmp".to_owned(),
        ..Settings::default()
    };
    Ok(Image { reference, settings, contents })
}
